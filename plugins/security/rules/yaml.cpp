// SPDX-License-Identifier: Apache-2.0
// The YAML library is included here only, and its exceptions end here.
#include "security/rules/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <map>
#include <sstream>

namespace trivet::security {
namespace {

// yaml-cpp 0.7 takes some texts, such as a lone ",", for documents without end: it does not move
// past what it cannot read.
constexpr std::size_t kMaxDocuments = 1000;

class TreeBuilder final : public YAML::EventHandler {
 public:
  explicit TreeBuilder(const std::string& path) : path_(path) {}

  Place place(const YAML::Mark& mark) const {
    if (mark.is_null()) return {path_, 0, 0};
    return {path_, static_cast<std::uint32_t>(mark.line + 1),
            static_cast<std::uint32_t>(mark.column + 1)};
  }
  std::vector<YamlNode>& documents() { return documents_; }
  const std::optional<Error>& error() const { return error_; }

  void OnDocumentStart(const YAML::Mark&) override {
    anchors_.clear();
    open_.clear();
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    close({YamlNode::Kind::null, place(mark), {}, {}, {}}, anchor);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    auto found = anchors_.find(anchor);
    if (found == anchors_.end()) return refuse(mark, "this alias stands for what it is part of");
    nodes_ += found->second.second;
    close(found->second.first, 0);
  }
  void OnScalar(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                const std::string& text) override {
    close({YamlNode::Kind::scalar, place(mark), text, {}, {}}, anchor);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(YamlNode::Kind::list, mark, anchor);
  }
  void OnSequenceEnd() override { close_open(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(YamlNode::Kind::map, mark, anchor);
  }
  void OnMapEnd() override { close_open(); }

 private:
  struct Open {
    YamlNode node;
    YAML::anchor_t anchor;
    std::size_t nodes_before;
    bool has_key = false;  // of a map: the next node is the value of its last key
  };

  void refuse(const YAML::Mark& mark, const std::string& why) {
    if (!error_) error_ = Error{"this is not YAML that can be read: " + why, 0, place(mark)};
  }

  void open(YamlNode::Kind kind, const YAML::Mark& mark, YAML::anchor_t anchor) {
    open_.push_back({{kind, place(mark), {}, {}, {}}, anchor, nodes_});
  }
  void close_open() {
    Open done = std::move(open_.back());
    open_.pop_back();
    // Its parts were counted as they closed.
    auto parts = nodes_ - done.nodes_before;
    close(std::move(done.node), done.anchor, parts);
  }

  // A node is whole: it goes to what holds it.
  void close(YamlNode node, YAML::anchor_t anchor, std::size_t parts = 0) {
    if (error_) return;
    if (++nodes_ > kMaxYamlNodes) {
      error_ = Error{"this file stands for more than " + std::to_string(kMaxYamlNodes) +
                         " values: split it, or use fewer aliases",
                     0, node.place};
      return;
    }
    if (anchor != 0) anchors_[anchor] = {node, parts};
    if (open_.empty()) {
      documents_.push_back(std::move(node));
      return;
    }
    Open& holder = open_.back();
    if (holder.node.is_list()) {
      holder.node.items.push_back(std::move(node));
    } else if (holder.has_key) {
      holder.node.items.push_back(std::move(node));
      holder.has_key = false;
    } else {
      holder.node.keys.push_back(std::move(node));
      holder.has_key = true;
    }
  }

  const std::string& path_;
  std::vector<YamlNode> documents_;
  std::vector<Open> open_;                                              // outermost first
  std::map<YAML::anchor_t, std::pair<YamlNode, std::size_t>> anchors_;  // with their parts
  std::size_t nodes_ = 0;
  std::optional<Error> error_;
};

}  // namespace

const YamlNode* YamlNode::find(std::string_view key) const {
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (keys[i].is_scalar() && keys[i].text == key) return &items[i];
  }
  return nullptr;
}

std::variant<std::vector<YamlNode>, Error> parse_yaml(const TextFile& file) {
  TreeBuilder builder(file.path);
  try {
    std::istringstream stream(file.text);
    YAML::Parser parser(stream);
    std::size_t documents = 0;
    while (!builder.error() && parser.HandleNextDocument(builder)) {
      if (++documents > kMaxDocuments) {
        return Error{"this is not YAML: start each item with \"- \"", 0, {file.path, 1, 1}};
      }
    }
  } catch (const YAML::Exception& e) {
    // "yaml-cpp: error at line 3, column 1: <reason>" without the part that the place tells.
    return Error{"this is not YAML: " + e.msg, 0, builder.place(e.mark)};
  }
  if (builder.error()) return *builder.error();
  return std::move(builder.documents());
}

}  // namespace trivet::security
