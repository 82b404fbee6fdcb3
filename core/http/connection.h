// SPDX-License-Identifier: Apache-2.0
// One client of the API: reads requests, one after the other, and sends each answer as fast as the
// client takes it. Lives on the server's thread, as long as a pending operation refers to it.
#pragma once

#include <array>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "http/api_request.h"
#include "http/message.h"
#include "http/server.h"
#include "query/query_runner.h"

namespace trivet {

using ApiSocket = boost::asio::generic::stream_protocol::socket;

// What the connections of one server share. Used on its thread.
struct ApiService {
  // Shared with queries and followers, which may call for it when the server has gone.
  std::shared_ptr<boost::asio::io_context> io;
  ApiSources sources;
  ApiOptions options;
  std::string token;
  std::shared_ptr<QueryRunner> queries;
};

class ApiConnection : public std::enable_shared_from_this<ApiConnection> {
 public:
  // `with_token`: every request must bring the token. `closed` is called once, at the end.
  ApiConnection(ApiSocket socket, ApiService& service, bool with_token,
                std::function<void()> closed);
  ~ApiConnection();

  void start();
  // Ends it, with its query or stream. What was not sent is lost.
  void close();

 private:
  using Patience = std::chrono::milliseconds;

  enum class Phase {
    idle,       // between requests
    receiving,  // a request has begun, or is awaited after connecting
    answering,
    leaving,  // everything has been sent: the client closes
    closed
  };
  // Where the rest of an answer comes from.
  enum class Source { none, query, stream };

  void guard(const std::function<void()>& step);
  void read_more();
  void received(std::size_t bytes);
  void input_ended();
  void next_request();
  void handle(const RequestMessage& request);
  void answer(const ApiRequest& request);
  void start_query(const ApiRequest& request);
  void start_stream(const ApiRequest& request);

  void send_document(unsigned status, const std::string& body,
                     std::vector<std::pair<std::string_view, std::string>> fields = {});
  void refuse(const Refusal& refusal);
  void begin_body(std::string_view content_type);
  void append_body(std::string_view part);
  void finish_body();

  // Sends what there is and asks the source for more, until the client or the source must be
  // waited for.
  void pump();
  void fill();
  void fill_from_query();
  void fill_from_stream();
  void answered();
  void write_some();
  void written(std::size_t bytes);
  void leave();

  // So long for what this phase waits for.
  void allow(Patience patience);
  void timed_out();
  // For sources: has pump() called on the server's thread.
  std::function<void()> waker();
  void count_answer(unsigned status);

  ApiSocket socket_;
  ApiService& service_;
  const bool with_token_;
  const std::function<void()> closed_;
  boost::asio::steady_timer timer_;
  Phase phase_ = Phase::receiving;

  std::array<char, 16 << 10> buffer_;
  bool reading_ = false;
  std::string input_;
  RequestReader reader_;

  // The answer at hand.
  std::string path_;  // as metrics name it
  bool chunks_ = false;
  bool keep_alive_ = false;
  bool head_only_ = false;
  bool head_sent_ = false;
  bool broken_ = false;  // it cannot be completed: the client must not take it for whole
  RowFormat format_ = RowFormat::json_lines;
  Source source_ = Source::none;
  std::shared_ptr<QueryJob> query_;
  std::shared_ptr<Follower> stream_;

  std::string output_;   // not handed to the socket yet
  std::string sending_;  // left alone while it is being written
  std::size_t sent_ = 0;
};

}  // namespace trivet
