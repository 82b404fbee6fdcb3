// SPDX-License-Identifier: Apache-2.0
// Where a file of code has the functions through which programs speak TLS: OpenSSL's and those that
// are named alike (BoringSSL, LibreSSL), shared or linked in. The only user of libelf here. The
// file may be anybody's: any bytes. Any thread.
#pragma once

#include <vector>

#include "trivet/bpf.h"
#include "trivet/result.h"

namespace trivet::tracing {

// Places for the hook "calls", with enum tls_function as cookies; none if the file has no functions
// that read and write TLS. An error where the file is no program or library of this machine, is
// damaged or too large.
Result<std::vector<ProbePlace>> find_tls_functions(int file);

}  // namespace trivet::tracing
