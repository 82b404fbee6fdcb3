// SPDX-License-Identifier: Apache-2.0
// Runs the queries of one server's clients, each on a thread of its own, a few at a time. Owned and
// used by that server's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <thread>

#include "query/engine.h"
#include "query/query_job.h"
#include "trivet/result.h"

namespace trivet {

class QueryRunner {
 public:
  // `engine` must outlive the runner.
  QueryRunner(const QueryEngine& engine, std::size_t max_queries)
      : engine_(engine), max_queries_(max_queries) {}
  // Cancels what runs and waits for it.
  ~QueryRunner();
  QueryRunner(const QueryRunner&) = delete;

  // Refused, with EBUSY as the error's code, while `max_queries` run. `time_ns` as for the engine,
  // `wake` as for the job.
  Result<std::shared_ptr<QueryJob>> start(std::string sql, std::uint64_t time_ns,
                                          std::unique_ptr<RowText> text,
                                          std::function<void()> wake);

 private:
  struct Running {
    std::shared_ptr<QueryJob> job;
    std::jthread thread;
  };

  const QueryEngine& engine_;
  const std::size_t max_queries_;
  std::list<Running> running_;
};

}  // namespace trivet
