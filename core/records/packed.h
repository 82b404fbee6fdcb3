// SPDX-License-Identifier: Apache-2.0
// Lists of texts and named values as bytes, the form in which segments keep them. Equal values give
// equal bytes. Files hold them too (docs/records.md), so the form stays. Pure; any thread.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "trivet/value.h"

namespace trivet {

void pack(std::string& out, std::span<const std::string> texts);
void pack(std::string& out, const Fields& fields);

// `bytes` must be what pack() made; anything else gives the part that can be read.
std::vector<std::string> unpack_texts(std::string_view bytes);
Fields unpack_fields(std::string_view bytes);

}  // namespace trivet
