// SPDX-License-Identifier: Apache-2.0
#include "query/query_runner.h"

#include <pthread.h>

#include <cerrno>
#include <system_error>

namespace trivet {

QueryRunner::~QueryRunner() {
  for (const auto& running : running_) running.job->cancel();
}

Result<std::shared_ptr<QueryJob>> QueryRunner::start(std::string sql, std::uint64_t time_ns,
                                                     std::unique_ptr<RowText> text,
                                                     std::function<void()> wake) {
  running_.remove_if([](const Running& running) { return running.job->finished(); });
  if (running_.size() >= max_queries_) {
    return Error{std::to_string(max_queries_) + " queries run already: wait for one to end", EBUSY};
  }
  auto job = std::make_shared<QueryJob>(std::move(text), std::move(wake));
  try {
    running_.push_back({job, std::jthread([this, job, time_ns, sql = std::move(sql)] {
                          pthread_setname_np(pthread_self(), "query");
                          job->finish(engine_.run(sql, *job, job->cancelled(), time_ns));
                        })});
  } catch (const std::system_error& error) {
    return system_error(error.code().value(), "cannot start a query");
  }
  return job;
}

}  // namespace trivet
