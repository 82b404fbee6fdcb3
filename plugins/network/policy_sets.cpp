// SPDX-License-Identifier: Apache-2.0
#include "network/policy_sets.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

namespace trivet::network {

namespace {

constexpr std::string_view kSpace = " \t\r";

// Addresses that never leave this host, and those that are never routed in the Internet (RFC 1918,
// 3927, 4193, 4291).
constexpr const char* kLoopback[] = {"127.0.0.0/8", "::1"};
constexpr const char* kLan[] = {"10.0.0.0/8",     "172.16.0.0/12", "192.168.0.0/16",
                                "169.254.0.0/16", "fc00::/7",      "fe80::/10"};
constexpr const char* kEverywhere[] = {"0.0.0.0/0", "::/0"};

template <std::size_t Size>
void append(std::vector<AddressRange>& ranges, const char* const (&texts)[Size]) {
  for (const auto* text : texts) ranges.push_back(*parse_address_range(text));
}

std::optional<AddressSet> entity(std::string_view name) {
  AddressSet set;
  if (name == "any") {
    append(set.in, kEverywhere);
  } else if (name == "loopback") {
    append(set.in, kLoopback);
  } else if (name == "lan") {
    append(set.in, kLan);
  } else if (name == "host") {
    append(set.in, kLoopback);
    set.host_in = true;
  } else if (name == "world") {
    append(set.in, kEverywhere);
    append(set.out, kLoopback);
    append(set.out, kLan);
    set.host_out = true;
  } else {
    return std::nullopt;
  }
  return set;
}

const std::vector<std::string> kEntities = {"any", "world", "lan", "host", "loopback"};

// Adds "10.0.0.0/8" or, as an exception, "!10.1.0.0/16" to a set.
Result<void> add_item(std::string_view text, AddressSet& set) {
  const bool except = text.starts_with('!');
  auto range = parse_address_range(except ? text.substr(1) : text);
  if (!range) return std::move(range).error();
  (except ? set.out : set.in).push_back(*range);
  return {};
}

// Why `path` names no file or cgroup, or nothing if it does. `..` could leave the hierarchy.
std::optional<Error> check_path(const std::string& key, const std::string& path) {
  if (path.empty() || path[0] != '/') {
    return Error{"\"" + path + "\" is not an absolute path: write " +
                 (key == "cgroup" ? "one below the cgroup root, such as /system.slice/nginx.service"
                  : key == "netns" ? "the namespace's file, such as /run/netns/blue, or its inode "
                                     "number"
                                   : "the executable's, such as /usr/bin/curl")};
  }
  for (const auto* part : {"/../", "/./", "//"}) {
    if ((path + "/").find(part) != std::string::npos && path != "/") {
      return Error{"\"" + path + "\" holds " + part + ": write the path without detours"};
    }
  }
  return std::nullopt;
}

bool is_number(const std::string& text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

struct SubjectKey {
  const char* name;
  Selector::Kind kind;
  bool path;    // an absolute one
  bool number;  // may be written as such
};
constexpr SubjectKey kSubjectKeys[] = {
    {"cgroup", Selector::Kind::cgroup, true, false},  {"unit", Selector::Kind::unit, false, false},
    {"exe", Selector::Kind::executable, true, false}, {"user", Selector::Kind::user, false, true},
    {"group", Selector::Kind::group, false, true},    {"netns", Selector::Kind::netns, true, true},
};

void read_container(const Config& table, Subject& subject, ConfigReader& outer) {
  ConfigReader read(table);
  std::string name, image;
  read("name", name);
  read("image", image);
  if (!name.empty()) subject.push_back({Selector::Kind::container_name, name});
  if (!image.empty()) subject.push_back({Selector::Kind::container_image, image});
  if (auto labels = read.table("label")) {
    ConfigReader labels_read(*labels);
    for (const auto& label : labels->keys()) {
      std::string value;
      labels_read(label, value);
      subject.push_back({Selector::Kind::container_label, value, label});
    }
    if (auto done = labels_read.finish(); !done) read.fail("label", done.error());
  }
  if (auto done = read.finish(); !done) outer.fail("container", done.error());
}

}  // namespace

Result<Subject> read_subject(const Config& table) {
  ConfigReader read(table);
  Subject subject;
  for (const auto& key : kSubjectKeys) {
    std::string text;
    const auto value = table.integer(key.name);
    if (key.number && value && *value) {
      std::int64_t written = 0;
      read.range(key.name, written, 0, 0xffffffff);
      text = std::to_string(written);
    } else {
      read(key.name, text);
    }
    while (key.path && text.size() > 1 && text.back() == '/') text.pop_back();
    const auto keys = table.keys();
    if (read.failed() || std::ranges::find(keys, key.name) == keys.end()) continue;
    if (key.path && !(key.number && is_number(text))) {
      if (auto wrong = check_path(key.name, text)) read.fail(key.name, *wrong);
    } else if (text.empty()) {
      read.fail(key.name, {std::string("\"\" names no ") + key.name});
    }
    if (key.kind == Selector::Kind::unit && text.find('.') == std::string::npos) {
      read.fail(key.name, {"\"" + text + "\" lacks the kind of unit: write " + text + ".service"});
    }
    subject.push_back({key.kind, text});
  }
  if (auto container = read.table("container")) read_container(*container, subject, read);
  bool host = true;
  read("host", host);
  const auto keys = table.keys();
  if (std::ranges::find(keys, "host") != keys.end()) {
    if (!host) {
      read.fail("host", {"host = false says nothing: write { container = { name = \"*\" } } for "
                         "processes in containers"});
    }
    subject.push_back({Selector::Kind::host, ""});
  }
  if (auto done = read.finish(); !done) return done.error();
  if (subject.empty()) {
    return Error{
        "a subject is chosen by cgroup, unit, exe, user, group, netns, container or host, such as "
        "{ unit = \"nginx.service\" }: leave it out for every process",
        0, table.place("")};
  }
  std::ranges::sort(subject);
  return subject;
}

std::uint32_t PolicySets::index_of(AddressSet set) {
  for (auto* ranges : {&set.in, &set.out}) {
    std::ranges::sort(*ranges);
    ranges->erase(std::unique(ranges->begin(), ranges->end()), ranges->end());
  }
  const auto [found, fresh] =
      indexes_.emplace(set, static_cast<std::uint32_t>(policy_.address_sets.size()));
  if (fresh) policy_.address_sets.push_back(std::move(set));
  return found->second;
}

Result<Peers> PolicySets::peers(const std::vector<std::string>& texts) {
  Peers peers;
  AddressSet in_place, except;
  for (const std::string_view text : texts) {
    const bool out = text.starts_with('!');
    const auto name = text.substr(out ? 1 : 0);
    auto& indexes = out ? peers.out : peers.in;
    if (name.starts_with('@')) {
      const auto found = addresses_.find(name.substr(1));
      if (found == addresses_.end()) {
        std::vector<std::string> names;
        for (const auto& [known, index] : addresses_) names.push_back(known);
        const auto near = nearest(name.substr(1), names);
        return Error{"\"" + std::string(name) + "\" names no set of addresses: " +
                     (near.empty() ? "write [set.cidr." + std::string(name.substr(1)) + "]"
                                   : "did you mean @" + near + "?")};
      }
      indexes.push_back(found->second);
    } else if (auto known = entity(name)) {
      indexes.push_back(index_of(std::move(*known)));
    } else if (name.empty() || name[0] == '!' ||
               (name[0] >= 'g' && name[0] <= 'z' && name.find_first_of(".:") == name.npos)) {
      const auto near = nearest(name, kEntities);
      return Error{"\"" + std::string(text) +
                   "\" is neither a range of addresses nor any, world, lan, host or loopback" +
                   (near.empty() ? "" : ": did you mean " + near + "?")};
    } else {
      auto range = parse_address_range(name);
      if (!range) return std::move(range).error();
      (out ? except : in_place).in.push_back(*range);
    }
  }
  if (!in_place.in.empty()) peers.in.push_back(index_of(std::move(in_place)));
  if (!except.in.empty()) peers.out.push_back(index_of(std::move(except)));
  if (peers.in.empty() && !peers.out.empty()) peers.in.push_back(index_of(*entity("any")));
  for (auto* indexes : {&peers.in, &peers.out}) {
    std::ranges::sort(*indexes);
    indexes->erase(std::unique(indexes->begin(), indexes->end()), indexes->end());
  }
  return peers;
}

Result<std::vector<Subject>> PolicySets::subjects(const std::string& text) const {
  const auto found = subjects_.find(std::string_view(text).substr(text.starts_with('@') ? 1 : 0));
  if (text.starts_with('@') && found != subjects_.end()) return found->second;
  std::vector<std::string> names;
  for (const auto& [known, subjects] : subjects_) names.push_back("@" + known);
  const auto near = nearest(text, names);
  return Error{"\"" + text + "\" names no set of subjects: " +
               (near.empty() ? "write one such as { unit = \"nginx.service\" }, or @NAME for "
                               "[set.subject.NAME]"
                             : "did you mean " + near + "?")};
}

Result<void> PolicySets::read_file(const std::string& name, const Config& table,
                                   AddressSet& set) const {
  const auto file = std::ranges::find_if(files_, [&](const TextFile& one) {
    return one.path == name || one.path.ends_with("/" + name);
  });
  if (file == files_.end()) {
    return Error{"\"" + name +
                     "\" is none of the files that the daemon may open for sets: name it in "
                     "network.set_files of trivet.toml",
                 0, table.place("file")};
  }
  std::uint32_t number = 0;
  for (std::size_t begin = 0; begin < file->text.size();) {
    const auto end = std::min(file->text.find('\n', begin), file->text.size());
    std::string_view line(file->text.data() + begin, end - begin);
    begin = end + 1;
    ++number;
    line = line.substr(0, line.find('#'));
    const auto first = line.find_first_not_of(kSpace);
    if (first == line.npos) continue;
    const auto last = line.find_last_not_of(kSpace);
    if (auto added = add_item(line.substr(first, last - first + 1), set); !added) {
      Error error = std::move(added).error();
      error.place = {file->path, number, static_cast<std::uint32_t>(first + 1)};
      return error;
    }
  }
  return {};
}

Result<void> PolicySets::read_addresses(const std::string& name, const Config& table) {
  ConfigReader read(table);
  AddressSet set;
  std::vector<std::string> items;
  std::string file;
  read("items", items);
  read("file", file);
  for (const auto& item : items) {
    if (auto added = add_item(item, set); !added) read.fail("items", std::move(added).error());
  }
  if (auto done = read.finish(); !done) return done;
  if (items.empty() && file.empty()) {
    return Error{"the set holds nothing: write items = [\"192.0.2.0/24\"] or file = \"NAME\"", 0,
                 table.place("")};
  }
  if (!file.empty()) {
    if (auto done = read_file(file, table, set); !done) return done;
  }
  addresses_.emplace(name, index_of(std::move(set)));
  return {};
}

Result<void> PolicySets::read_subjects(const std::string& name, const Config& table) {
  ConfigReader read(table);
  std::vector<Subject> subjects;
  for (const auto& item : read.tables("items")) {
    auto subject = read_subject(*item);
    if (!subject) {
      read.fail("items", std::move(subject).error());
      break;
    }
    subjects.push_back(std::move(*subject));
  }
  if (auto done = read.finish(); !done) return done;
  if (subjects.empty()) {
    return Error{"the set holds nothing: write items = [{ unit = \"nginx.service\" }]", 0,
                 table.place("")};
  }
  subjects_.emplace(name, std::move(subjects));
  return {};
}

Result<void> PolicySets::read(const Config& table) {
  ConfigReader read(table);
  const std::pair<const char*, Result<void> (PolicySets::*)(const std::string&, const Config&)>
      kinds[] = {{"cidr", &PolicySets::read_addresses}, {"subject", &PolicySets::read_subjects}};
  for (const auto& [kind, read_one] : kinds) {
    auto sets = read.table(kind);
    if (!sets) continue;
    ConfigReader names(*sets);
    for (const auto& name : sets->keys()) {
      auto one = names.table(name);
      if (!one) break;
      if (auto done = (this->*read_one)(name, *one); !done) names.fail(name, done.error());
    }
    if (auto done = names.finish(); !done) read.fail(kind, done.error());
  }
  return read.finish();
}

}  // namespace trivet::network
