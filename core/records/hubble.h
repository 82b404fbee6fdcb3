// SPDX-License-Identifier: Apache-2.0
// A flow as Hubble writes one (`hubble observe -o jsonpb`, its exporter), so that what reads those
// reads these: flow.proto of Cilium's API, in protobuf's JSON form. Pure; any thread.
#pragma once

#include <string>

#include "records/format.h"
#include "trivet/records/flow.h"

namespace trivet {

// One JSON object without line breaks: `flow`, `node_name`, `time`. The source is who opened the
// flow. What Hubble says by labels of Kubernetes is said of this host's process by labels of the
// source "trivet": process, exe, uid, unit, container; peers are reserved:world or, where they are
// this host by loopback, reserved:host.
std::string to_hubble_json(const Flow& flow, const Origin& origin);

}  // namespace trivet
