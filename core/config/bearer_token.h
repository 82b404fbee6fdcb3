// SPDX-License-Identifier: Apache-2.0
// The secret that one program shows another over HTTP, from a file. Pure; any thread.
#pragma once

#include <string>

#include "trivet/config.h"
#include "trivet/result.h"

namespace trivet {

// The token that the file holds, without white space behind it. Error if everybody can read the
// file, or if that is no token of RFC 6750 or one that could be guessed.
Result<std::string> bearer_token(const TextFile& file);

}  // namespace trivet
