// SPDX-License-Identifier: Apache-2.0
// Probes of functions in user space: kernel programs that run where a file's code does, whoever
// runs it. Broker thread only.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "broker/unique_fd.h"
#include "trivet/bpf.h"
#include "trivet/result.h"

struct bpf_link;
struct bpf_program;

namespace trivet::broker {

struct DestroyLink {
  void operator()(bpf_link* link) const;
};
using LinkPtr = std::unique_ptr<bpf_link, DestroyLink>;

// One link of a program to a file. Destroying it detaches.
struct Probe {
  UniqueFd multi;  // of several places, which the library does not know
  LinkPtr single;  // of one place
};

// Whether the program is attached to files, one by one.
bool is_probe(const bpf_program* program);
// Call before the program is loaded: what the library does not know of such programs.
void prepare_probe(bpf_program* program);
// Whether this kernel attaches the program: to a function of trivet's own that is never called, for
// a moment.
Result<void> try_probe(const bpf_program* program);
// Attaches the program at those of the places that are of its kind, at an entry or at a return.
Result<void> attach_probe(const bpf_program* program, int file, std::span<const ProbePlace> places,
                          std::vector<Probe>& probes);

}  // namespace trivet::broker
