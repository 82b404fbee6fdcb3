// SPDX-License-Identifier: Apache-2.0
// Loads and attaches BPF objects with libbpf: wires the shared maps by name, sets the
// configuration, finds for each hook the best tier that this kernel really takes. Broker thread
// only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "broker/cpu_groups.h"
#include "broker/firing.h"
#include "broker/probes.h"
#include "broker/protocol.h"
#include "broker/unique_fd.h"
#include "trivet/bpf.h"
#include "trivet/result.h"

struct bpf_map;
struct bpf_object;

namespace trivet::broker {

struct CloseObject {
  void operator()(bpf_object* object) const;
};
using ObjectPtr = std::unique_ptr<bpf_object, CloseObject>;

// A program of an object that serves a hook, and its links by the place that each is at.
struct Attachment {
  std::string hook;
  bpf_program* program;
  bool by_tracepoints;  // those that the tier names, not the program's own section
  std::map<std::string, LinkPtr> links;
};

// An object in the kernel. Destroying it detaches first, then unloads.
struct AttachedObject {
  ObjectPtr object;
  std::vector<Attachment> attachments;
  std::vector<HookState> hooks;

  // What is to run, borrowed.
  std::vector<AttachedProgram> programs() const;
};

// What one load or probe may try, and what an object's sizes may add up to, is bounded: main asks,
// and main is not trusted. Owns what all objects share: the lanes' maps, from the first object that
// has them until the end.
class Loader {
 public:
  Loader();

  // An object from the bytes of its ELF file. Fails if a required hook found no tier. A tier whose
  // programs load and attach, but do not run when they should, is none.
  Result<AttachedObject> load(std::span<const std::byte> elf, const ObjectSpec& spec);
  // How every tier of every hook fares. Nothing stays in the kernel but the lanes.
  Result<std::vector<HookState>> probe(std::span<const std::byte> elf, const ObjectSpec& spec);
  // Programs of the objects that do not run when they should.
  Result<std::vector<SilentProgram>> find_silent(const std::vector<AttachedProgram>& programs,
                                                 Reach reach) const;
  // Has a hook that tracepoints serve attached to these and no others: new ones come first, then
  // old ones go, the rest is not touched. Nothing to do where another tier serves it.
  Result<void> retarget(AttachedObject& object, const std::string& hook,
                        const std::vector<std::string>& places);
  // Has the tier that serves a hook run at these places of a file; until the links go.
  Result<std::vector<Probe>> probe_file(const AttachedObject& object, const std::string& hook,
                                        int file, std::span<const ProbePlace> places) const;
  // A new pass over an iterator program of the object.
  Result<UniqueFd> iterate(const AttachedObject& object, const std::string& program);

  // Descriptors for main, with the rights that main may have.
  Result<void> lend_maps(const AttachedObject& object, Answer& answer) const;
  Result<void> lend_lanes(Answer& answer) const;

 private:
  // Which tier of each hook; none if negative.
  using Choice = std::vector<int>;

  Result<ObjectPtr> open(std::span<const std::byte> elf, const ObjectSpec& spec);
  Result<AttachedObject> try_choice(std::span<const std::byte> elf, const ObjectSpec& spec,
                                    const Choice& choice);
  // Tries the tiers behind those in the state, and fills it; answers the tier, or -1. An error
  // where the broker is to stop.
  Result<int> try_hook(std::span<const std::byte> elf, const ObjectSpec& spec, std::size_t hook,
                       bool all_tiers, HookState& state);
  Result<void> wire_lanes(bpf_object* object);
  Result<void> keep_lanes(bpf_object* object);
  Result<void> shape_shards(bpf_map* lane);
  Result<LinkPtr> attach(bpf_object* object, const std::string& program);
  Result<void> attach_tracepoints(Attachment& attachment, const std::vector<std::string>& wanted);
  // Why a tier that has been attached is of no use; empty if it is.
  std::string silence_of(const AttachedObject& object, Reach reach) const;

  // What all objects share by name: the lanes' rings, or the array that holds each CPU's, and
  // counts.
  std::map<std::string, UniqueFd> lanes_;
  // The rings of the lanes that have one for each group of CPUs.
  std::map<std::string, std::vector<UniqueFd>> shards_;
  CpuGroups cpus_;
  UniqueFd cgroup_root_;
};

}  // namespace trivet::broker
