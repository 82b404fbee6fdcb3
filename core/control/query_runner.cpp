// SPDX-License-Identifier: Apache-2.0
#include "control/query_runner.h"

#include <pthread.h>

#include <system_error>

namespace trivet {

QueryRunner::~QueryRunner() {
  for (const auto& running : running_) running.job->cancel();
}

Result<std::shared_ptr<QueryJob>> QueryRunner::start(std::string sql) {
  running_.remove_if([](const Running& running) { return running.job->finished(); });
  if (running_.size() >= max_queries_) {
    return Error{std::to_string(max_queries_) + " queries run already: wait for one to end"};
  }
  auto job = std::make_shared<QueryJob>(wake_);
  try {
    running_.push_back({job, std::jthread([this, job, sql = std::move(sql)] {
                          pthread_setname_np(pthread_self(), "query");
                          job->finish(run_(sql, *job, job->cancelled()));
                        })});
  } catch (const std::system_error& error) {
    return system_error(error.code().value(), "cannot start a query");
  }
  return job;
}

}  // namespace trivet
