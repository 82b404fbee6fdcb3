// SPDX-License-Identifier: Apache-2.0
#include "network/network.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <utility>

#include "core/lifecycle.h"
#include "network/policy.h"

namespace trivet::network {

namespace {

constexpr std::uint64_t kNsPerSecond = 1'000'000'000;
constexpr std::chrono::seconds kTick{1};
constexpr std::uint64_t kMaxConfirmS = 86'400;

std::string json_count(const policy_count& count) {
  return "\"judged\":" + std::to_string(count.judged) +
         ",\"dropped\":" + std::to_string(count.dropped);
}

const char* default_name(std::uint8_t verdict) {
  return verdict == POLICY_DENY ? "deny" : "allow";
}

policy_settings for_kernel(const Settings& settings) {
  policy_settings written{};
  written.interval_ns = static_cast<std::uint64_t>(settings.flow_interval_s) * kNsPerSecond;
  written.udp_idle_ns = static_cast<std::uint64_t>(settings.udp_idle_s) * kNsPerSecond;
  written.denials_per_second = static_cast<std::uint32_t>(settings.denials_per_second);
  return written;
}

// Every address of an interface is a range of its own.
AddressRange whole_address(const IpAddress& address) {
  AddressRange range{{}, 128, address.family};
  if (address.family == 4) {
    range.address[10] = range.address[11] = 0xff;
    std::copy_n(address.bytes.begin(), 4, range.address.begin() + 12);
  } else {
    range.address = address.bytes;
  }
  return range;
}

}  // namespace

Result<void> NetworkPlugin::configure(const Config& config) {
  ConfigReader read(config);
  Settings settings;
  read.range("flow_interval_s", settings.flow_interval_s, 1, 3600);
  read.range("udp_idle_s", settings.udp_idle_s, 1, 3600);
  read.range("udp_flows", settings.udp_flows, 256, 800'000);
  read.range("denials_per_second", settings.denials_per_second, 1, 100'000);
  Policy policy;
  const auto files = read.toml_files("policy_file");
  if (files.size() > 1) {
    read.fail("policy_file", Error{"policy_file names a folder with several files: name one file"});
  }
  const auto set_files = read.files("set_files");
  if (!read.failed() && files.size() == 1) {
    auto written = read_policy(*files.front(), set_files);
    if (!written) {
      read.fail("policy_file", std::move(written).error());
    } else {
      policy = std::move(*written);
    }
  }
  auto compiled = compile(policy);
  if (!compiled) {
    Error error = std::move(compiled).error();
    if (!files.empty()) error.place = files.front()->place("");
    read.fail("policy_file", std::move(error));
  }
  if (auto done = read.finish(); !done) return done;
  settings_ = settings;
  policy_ = std::make_shared<const Policy>(std::move(policy));
  set_files_ = set_files;
  source_ = files.empty() ? "no file: everything passes" : files.front()->place("").file;
  compiled_ = std::move(*compiled);
  return {};
}

ObjectSpec NetworkPlugin::object() const {
  policy_config config{};
  config.failsafe_rows = static_cast<std::uint32_t>(compiled_.failsafe.size());
  std::ranges::copy(compiled_.failsafe, config.failsafe);

  ObjectSpec spec;
  spec.name = "policy";
  spec.hooks = {
      {"connect",
       {{"cgroup",
         {"network_connect4", "network_connect6", "network_sendmsg4", "network_sendmsg6"}}}},
      {"packets", {{"cgroup", {"network_egress", "network_ingress"}}}},
      {"sockets", {{"cgroup", {"network_sock_create", "network_sock_release"}}}},
      {"tcp_state", {{"tp_btf", {"network_sock_state"}}}},
      // Without it, accepted connections are their listener's creator's.
      {"owner",
       {{"tp_btf", {"network_sent", "network_received"}},
        {"fentry",
         {"network_inet_sendmsg", "network_inet6_sendmsg", "network_inet_recvmsg",
          "network_inet6_recvmsg"}}},
       false}};
  spec.map_sizes = {{"datagram_flows", static_cast<std::uint32_t>(settings_.udp_flows)}};
  spec.enforces = true;
  return spec.with_config(config);
}

std::vector<ObjectSpec> NetworkPlugin::objects() const {
  return {object()};
}

Result<void> NetworkPlugin::start(Host& host) {
  host_ = &host;
  auto begin = [&]() -> Result<void> {
    auto object = host.attach(this->object());
    if (!object) return std::move(object).error();
    object_ = std::move(*object);
    auto maps = PolicyMaps::open(*object_);
    if (!maps) return std::move(maps).error();
    maps_.emplace(std::move(*maps));
    auto counters = object_->map("flow_counters");
    if (!counters) return std::move(counters).error();
    flows_.emplace(host, *maps_, **counters);
    if (auto done = maps_->set(for_kernel(settings_)); !done) return done;
    if (auto done = put_in_force(policy_, source_); !done) return done;
    tick();
    return {};
  };
  if (auto begun = begin(); !begun) {
    stop();
    return begun;
  }
  host.on<flow_event>([this](const Event<flow_event>& event) { flows_->handle(event); });
  host.on<process_exec_event>([this](const Event<process_exec_event>& event) {
    if (event.process && subjects_->concerns(*event.process)) look_for_subjects();
  });
  host.every(kTick, [this] { tick(); });
  add_verbs();
  return {};
}

void NetworkPlugin::add_verbs() {
  using Arguments = std::vector<std::string>;
  host_->verb("policy show", "The policy in force: its rules and what each did", Access::read,
              [this](const Arguments& arguments) { return show_policy(arguments); });
  host_->verb("policy apply", "Put a policy in force until it is confirmed", Access::write,
              [this](const Arguments& arguments) { return apply_policy(arguments); });
  host_->verb("policy confirm", "Keep the policy that was applied", Access::write,
              [this](const Arguments&) { return confirm_policy(); });
  host_->verb("policy rollback", "Return to the policy before", Access::write,
              [this](const Arguments&) { return roll_back("rolled back"); });
  host_->verb("policy history", "The last policies, newest first", Access::read,
              [this](const Arguments&) -> Result<std::string> {
                return revisions_.to_json(host_->now_ns());
              });
}

// A revision of its own; the one before stays if that fails.
Result<void> NetworkPlugin::put_in_force(std::shared_ptr<const Policy> policy,
                                         const std::string& source) {
  if (auto done = install(*policy); !done) return done;
  policy_ = std::move(policy);
  revisions_.add(policy_, source, host_->now_ns());
  return {};
}

Result<std::string> NetworkPlugin::apply_policy(const std::vector<std::string>& arguments) {
  if (arguments.size() != 3) {
    return Error{"policy apply takes the file's path, its text and the seconds to confirm in"};
  }
  if (revisions_.waiting()) {
    return Error{
        "the policy that was applied last waits to be confirmed: confirm it or roll it "
        "back first"};
  }
  std::uint64_t seconds = 0;
  const auto& number = arguments[2];
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), seconds);
  if (error != std::errc() || end != number.data() + number.size() || seconds > kMaxConfirmS) {
    return Error{"\"" + number + "\" is no time to confirm in: write 0 to " +
                 std::to_string(kMaxConfirmS) + " seconds"};
  }
  auto table = host_->parse(arguments[0], arguments[1]);
  if (!table) return std::move(table).error();
  auto policy = read_policy(**table, set_files_);
  if (!policy) return std::move(policy).error();
  if (policy->failsafe != policy_->failsafe) {
    Error different{
        "its fail-safe list differs from the one in force, which is part of the loaded "
        "programs: put the file where network.policy_file names it, and reload"};
    different.place = (*table)->place("failsafe");
    return different;
  }
  auto done = put_in_force(std::make_shared<const Policy>(std::move(*policy)), arguments[0]);
  if (!done) return std::move(done).error();
  if (seconds) revisions_.expect_confirmation(host_->now_ns() + seconds * kNsPerSecond);
  return revisions_.to_json(host_->now_ns());
}

Result<std::string> NetworkPlugin::confirm_policy() {
  if (!revisions_.waiting()) return Error{"no policy waits to be confirmed"};
  revisions_.confirm();
  host_->log().info("Network policy is confirmed",
                    {{"revision", std::to_string(revisions_.present().number)}});
  return revisions_.to_json(host_->now_ns());
}

Result<std::string> NetworkPlugin::roll_back(const std::string& why) {
  const Revision* before = revisions_.before();
  if (!before) return Error{"there is no policy before this one to return to"};
  const auto policy = before->policy;
  const std::string source = before->source;
  if (auto done = put_in_force(policy, source); !done) return std::move(done).error();
  host_->log().warning("Network policy is the one before again",
                       {{"why", why}, {"source", source}});
  return revisions_.to_json(host_->now_ns());
}

Surroundings NetworkPlugin::surroundings() const {
  Surroundings now;
  now.now_ns = static_cast<std::int64_t>(host_->now_ns()) + host_->facts().boot_to_real_ns();
  const auto interfaces = host_->facts().interfaces();
  for (const auto& interface : *interfaces) {
    for (const auto& address : interface.addresses) {
      if (address.address.family) now.host.push_back(whole_address(address.address));
    }
  }
  std::ranges::sort(now.host);
  return now;
}

// Puts `policy` in force; the one before stays if that fails.
Result<void> NetworkPlugin::install(const Policy& policy) {
  Surroundings now = surroundings();
  auto compiled = compile(policy, now);
  if (!compiled) return std::move(compiled).error();
  Subjects subjects(compiled->selectors);
  subjects.resolve(host_->facts());
  if (auto done = maps_->install(*compiled, subjects.identities()); !done) return done;
  compiled_ = std::move(*compiled);
  surroundings_ = std::move(now);
  subjects_ = std::move(subjects);
  unresolved_.clear();
  host_->metrics()
      .gauge("trivet_network_policy_rules", "Rules of the policy in force")
      .set(static_cast<double>(compiled_.rules->size()));
  host_->log().info("Network policy is in force",
                    {{"rules", std::to_string(compiled_.rules->size())},
                     {"epoch", std::to_string(maps_->epoch())}});
  tell_epoch();
  return {};
}

// Rules expire, and this host gets and loses addresses.
void NetworkPlugin::follow_surroundings() {
  if (!compiled_.changes_ns && !compiled_.about_host) return;
  const Surroundings now = surroundings();
  const bool expired = compiled_.changes_ns && now.now_ns >= *compiled_.changes_ns;
  const bool moved = compiled_.about_host && now.host != surroundings_.host;
  if (!expired && !moved) return;
  if (auto done = install(*policy_); !done) {
    host_->log().error("Cannot adapt the network policy to expired rules or new addresses",
                       {{"error", done.error().to_string()}});
  }
}

bool NetworkPlugin::adopt(Plugin& next) {
  auto* other = dynamic_cast<NetworkPlugin*>(&next);
  // The table's size and the fail-safe list are part of what is loaded.
  if (!other || !object_ || other->settings_.udp_flows != settings_.udp_flows ||
      other->policy_->failsafe != policy_->failsafe) {
    return false;
  }
  auto done = maps_->set(for_kernel(other->settings_));
  if (done) done = put_in_force(other->policy_, other->source_);
  if (!done) {
    host_->log().error("Cannot switch to the new network policy live; starting over with it",
                       {{"error", done.error().to_string()}});
    return false;
  }
  settings_ = other->settings_;
  set_files_ = other->set_files_;
  return true;
}

void NetworkPlugin::look_for_subjects() {
  if (subjects_->resolve(host_->facts())) {
    if (auto done = maps_->update_identities(subjects_->identities()); !done) {
      host_->log().error("Cannot tell the kernel which processes the network policy is about",
                         {{"error", done.error().to_string()}});
    }
  }
  auto unresolved = subjects_->unresolved();
  for (const auto& subject : unresolved) {
    if (std::ranges::find(unresolved_, subject) == unresolved_.end()) {
      host_->log().warning("A subject of the network policy does not exist yet",
                           {{"subject", subject}});
    }
  }
  unresolved_ = std::move(unresolved);
  tell_epoch();
}

void NetworkPlugin::tell_epoch() {
  host_->metrics()
      .gauge("trivet_network_policy_epoch", "Grows with each change of the policy or its subjects")
      .set(static_cast<double>(maps_->epoch()));
}

void NetworkPlugin::tick() {
  if (revisions_.overdue(host_->now_ns())) {
    if (auto done = roll_back("nobody confirmed the new one in time"); !done) {
      host_->log().error("Cannot return to the network policy before",
                         {{"error", done.error().to_string()}});
    }
  }
  follow_surroundings();
  look_for_subjects();
  if (auto done = flows_->follow_counters(); !done) {
    host_->log().error("Cannot read the kernel's flow counters",
                       {{"error", done.error().to_string()}});
  }
}

Result<std::string> NetworkPlugin::show_policy(const std::vector<std::string>& arguments) const {
  if (!arguments.empty()) return Error{"policy show takes no arguments"};
  const policy_generation& generation = compiled_.generation;
  std::string json = "{\"epoch\":" + std::to_string(maps_->epoch()) +
                     ",\"mode\":" + (generation.audit ? "\"audit\"" : "\"enforce\"") +
                     ",\"ingress\":\"" + default_name(generation.default_verdict[FLOW_INGRESS]) +
                     "\",\"egress\":\"" + default_name(generation.default_verdict[FLOW_EGRESS]) +
                     "\",\"rules\":[";
  for (std::uint32_t rule = 0; rule < compiled_.rules->size(); ++rule) {
    auto count = maps_->rule_count(rule);
    if (!count) return std::move(count).error();
    json += (rule ? ",{\"name\":" : "{\"name\":") + json_text((*compiled_.rules)[rule]) + "," +
            json_count(*count) + "}";
  }
  auto defaults = maps_->default_count();
  if (!defaults) return std::move(defaults).error();
  auto failsafe = maps_->failsafe_count();
  if (!failsafe) return std::move(failsafe).error();
  return json + "],\"default\":{" + json_count(*defaults) + "},\"fail-safe\":{" +
         json_count(*failsafe) + "}}";
}

void NetworkPlugin::stop() noexcept {
  flows_.reset();
  subjects_.reset();
  maps_.reset();
  object_.reset();
  unresolved_.clear();
  revisions_ = {};
  host_ = nullptr;
}

}  // namespace trivet::network

TRIVET_PLUGIN(trivet::network::NetworkPlugin)
