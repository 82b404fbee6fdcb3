// SPDX-License-Identifier: Apache-2.0
// Runs the queries of the control socket, each on a thread of its own, a few at a time. Owned and
// used by the server's loop.
#pragma once

#include <atomic>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <thread>

#include "control/query_job.h"
#include "trivet/result.h"

namespace trivet {

// Runs one statement on the caller's thread, as QueryEngine::run() does.
using RunQuery = std::function<Result<void>(const std::string& sql, RowSink& sink,
                                            const std::atomic<bool>& cancelled)>;

class QueryRunner {
 public:
  // `wake` is called from the queries' threads.
  QueryRunner(RunQuery run, std::size_t max_queries, std::function<void()> wake)
      : run_(std::move(run)), max_queries_(max_queries), wake_(std::move(wake)) {}
  // Cancels what runs and waits for it.
  ~QueryRunner();
  QueryRunner(const QueryRunner&) = delete;

  // Refused while `max_queries` run.
  Result<std::shared_ptr<QueryJob>> start(std::string sql);

 private:
  struct Running {
    std::shared_ptr<QueryJob> job;
    std::jthread thread;
  };

  const RunQuery run_;
  const std::size_t max_queries_;
  const std::function<void()> wake_;
  std::list<Running> running_;
};

}  // namespace trivet
