// SPDX-License-Identifier: Apache-2.0
#include "daemon/printer.h"

#include <unistd.h>

#include <chrono>

namespace trivet {

namespace {

constexpr std::size_t kQueuedRows = 4096;
constexpr std::size_t kRowsAtOnce = 256;

// The heading appears again whenever the kind of record changes: columns differ.
void print(const std::vector<Row>& rows, const Origin& origin, int descriptor,
           std::string_view& heading) {
  std::string text;
  for (const auto& row : rows) {
    const RecordSchema& schema = row.schema();
    if (heading != schema.table) text += line_heading(schema, true) + '\n';
    heading = schema.table;
    text += to_line(schema, row.record().get(), origin, true) + '\n';
  }
  for (std::string_view left = text; !left.empty();) {
    const auto written = write(descriptor, left.data(), left.size());
    if (written <= 0) return;  // the terminal has gone: nobody reads
    left.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace

Printer::Printer(Tables& tables, std::vector<std::string> names, OriginNow origin, int descriptor)
    : thread_([follower = tables.follow(std::move(names), {.rows = kQueuedRows}, 0),
               origin = std::move(origin), descriptor](const std::stop_token& stop) {
        std::string_view heading;
        while (!stop.stop_requested())
          print(follower->wait(std::chrono::milliseconds(200), kRowsAtOnce), origin(), descriptor,
                heading);
      }) {}

}  // namespace trivet
