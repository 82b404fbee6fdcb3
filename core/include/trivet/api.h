// SPDX-License-Identifier: Apache-2.0
// Marks what the trivet program exports to the plugins that it loads.
#pragma once

#define TRIVET_API __attribute__((visibility("default")))
