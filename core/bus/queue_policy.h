// SPDX-License-Identifier: Apache-2.0
// What happens to candidate and bulk events that a plugin's queue has no room for. Lifecycle events
// and alerts are few: their newest is dropped, whatever the policy. Every drop is counted.
#pragma once

namespace trivet {

enum class QueuePolicy {
  drop_newest,  // what comes is dropped
  drop_oldest,  // what has waited longest is dropped
  sample,  // before the queue is full, only some sockets' or processes' events are kept, but all
           // of theirs
  wait,    // nothing is dropped here: events stay in the kernel until there is room
};

}  // namespace trivet
