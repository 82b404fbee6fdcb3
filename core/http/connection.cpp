// SPDX-License-Identifier: Apache-2.0
#include "http/connection.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <exception>

#include "http/documents.h"

namespace trivet {
namespace {

namespace asio = boost::asio;
using ErrorCode = boost::system::error_code;

// What a client may have sent without being answered: one request, and the beginning of another.
constexpr std::size_t kMaxInputBytes = kMaxHeadBytes + kMaxBodyBytes;
// Records turned into text at a time.
constexpr std::size_t kBatchRows = 64;
// A client that has got everything closes at once; one that still sends needs to see it first.
constexpr std::chrono::milliseconds kLeavePatience{2000};

// HTTP's word for why a query failed.
unsigned status_of(const Error& error) {
  switch (error.code) {
    case EBUSY:
    case ETIME:
      return 503;
    case ENOMEM:
    case EMSGSIZE:
      return 422;
    default:
      return 400;
  }
}

}  // namespace

ApiConnection::ApiConnection(ApiSocket socket, ApiService& service, bool with_token,
                             std::function<void()> closed)
    : socket_(std::move(socket)),
      service_(service),
      with_token_(with_token),
      closed_(std::move(closed)),
      timer_(*service.io) {}

ApiConnection::~ApiConnection() {
  if (query_) query_->cancel();
}

void ApiConnection::start() {
  allow(service_.options.request_patience);
  read_more();
}

void ApiConnection::close() {
  if (phase_ == Phase::closed) return;
  phase_ = Phase::closed;
  if (query_) {
    query_->cancel();
    service_.sources.metrics
        .counter("trivet_api_cancelled_queries_total",
                 "Queries of the API that ended because their client left or did not read")
        .add();
  }
  query_.reset();
  stream_.reset();
  timer_.cancel();
  ErrorCode ignored;
  socket_.close(ignored);
  closed_();
}

// Runs one step. Without memory for it the client is given up, not the server.
void ApiConnection::guard(const std::function<void()>& step) {
  try {
    step();
  } catch (const std::exception& error) {
    service_.sources.log.error("A client of the API was given up", {{"error", error.what()}});
    close();
  }
}

// Reads all the time, since only a read tells that the client has gone.
void ApiConnection::read_more() {
  if (reading_ || phase_ == Phase::closed || input_.size() >= kMaxInputBytes) return;
  reading_ = true;
  socket_.async_read_some(asio::buffer(buffer_),
                          [self = shared_from_this()](const ErrorCode& error, std::size_t bytes) {
                            self->reading_ = false;
                            if (self->phase_ == Phase::closed) return;
                            if (error) return self->input_ended();
                            self->guard([&] { self->received(bytes); });
                          });
}

void ApiConnection::received(std::size_t bytes) {
  if (phase_ != Phase::leaving) {
    input_.append(buffer_.data(), bytes);
    if (phase_ != Phase::answering) next_request();
  }
  read_more();
}

// A client that stops sending has gone, unless its answer is complete and only to be written.
void ApiConnection::input_ended() {
  if (phase_ != Phase::answering || source_ != Source::none) return close();
  keep_alive_ = false;
}

void ApiConnection::next_request() {
  const bool began = reader_.started();
  switch (reader_.read(input_)) {
    case RequestReader::Progress::needs_more:
      if (reader_.started() && !began && phase_ == Phase::idle) {
        phase_ = Phase::receiving;
        allow(service_.options.request_patience);
      }
      if (reader_.take_expectation()) {
        output_ += kContinue;
        pump();
      }
      return;
    case RequestReader::Progress::wrong:
      path_ = "other";
      keep_alive_ = chunks_ = head_only_ = false;
      phase_ = Phase::answering;
      refuse(reader_.refusal());
      return pump();
    case RequestReader::Progress::complete:
      phase_ = Phase::answering;
      timer_.cancel();
      handle(reader_.take());
      return pump();
  }
}

void ApiConnection::handle(const RequestMessage& request) {
  path_ = endpoint_path(request);
  chunks_ = request.chunks;
  keep_alive_ = request.keep_alive;
  head_only_ = request.method == "HEAD";
  head_sent_ = broken_ = false;
  if (with_token_ && !authorized(request.authorization, service_.token)) {
    // Guessing costs a connection for each guess.
    keep_alive_ = false;
    return refuse({401, Error{"this address answers those who send the token: "
                              "Authorization: Bearer <token>"}});
  }
  const auto understood = understand(request);
  if (auto refusal = std::get_if<Refusal>(&understood)) return refuse(*refusal);
  answer(std::get<ApiRequest>(understood));
}

void ApiConnection::answer(const ApiRequest& request) {
  switch (request.endpoint) {
    case Endpoint::index:
      return send_document(200, index_json());
    case Endpoint::version:
      return send_document(200, version_json());
    case Endpoint::tables:
      return send_document(200, tables_json(service_.sources.queries.schemas()));
    case Endpoint::status:
      return send_document(200, service_.sources.status() + '\n');
    case Endpoint::query:
      return start_query(request);
    case Endpoint::stream:
      return start_stream(request);
  }
}

void ApiConnection::start_query(const ApiRequest& request) {
  format_ = request.format;
  auto text = format_ == RowFormat::csv          ? csv_lines()
              : format_ == RowFormat::json_array ? json_array()
                                                 : json_lines();
  auto job = service_.queries->start(request.sql, request.time_ns, std::move(text), waker());
  if (!job) return refuse({status_of(job.error()), job.error()});
  query_ = std::move(*job);
  source_ = Source::query;
}

void ApiConnection::start_stream(const ApiRequest& request) {
  auto& tables = service_.sources.tables;
  auto names = tables.resolve(request.table);
  if (names.empty()) return refuse({404, tables.unknown(request.table)});
  stream_ = tables.follow(std::move(names), service_.options.follower, request.backlog, waker());
  source_ = Source::stream;
  begin_body(media_type(RowFormat::json_lines));
}

void ApiConnection::send_document(unsigned status, const std::string& body,
                                  std::vector<std::pair<std::string_view, std::string>> fields) {
  count_answer(status);
  output_ += write_head({.status = status,
                         .length = body.size(),
                         .keep_alive = keep_alive_,
                         .fields = std::move(fields)});
  if (!head_only_) output_ += body;
  head_sent_ = true;
}

void ApiConnection::refuse(const Refusal& refusal) {
  std::vector<std::pair<std::string_view, std::string>> fields;
  if (refusal.status == 401) fields.emplace_back("WWW-Authenticate", "Bearer realm=\"trivet\"");
  if (refusal.status == 405) fields.emplace_back("Allow", refusal.allow);
  if (refusal.error.code == EBUSY) fields.emplace_back("Retry-After", "1");
  send_document(refusal.status, error_json(refusal.error), std::move(fields));
}

void ApiConnection::begin_body(std::string_view content_type) {
  count_answer(200);
  if (!chunks_) keep_alive_ = false;  // its end is the connection's
  output_ +=
      write_head({.content_type = content_type, .chunks = chunks_, .keep_alive = keep_alive_});
  head_sent_ = true;
}

void ApiConnection::append_body(std::string_view part) {
  // An empty chunk would be the last.
  if (part.empty()) return;
  if (chunks_) {
    output_ += write_chunk(part);
  } else {
    output_ += part;
  }
}

void ApiConnection::finish_body() {
  source_ = Source::none;
  query_.reset();
  if (chunks_ && !broken_) output_ += write_chunk({});
  if (broken_) keep_alive_ = false;
}

void ApiConnection::pump() {
  if (phase_ == Phase::closed || phase_ == Phase::leaving || !sending_.empty()) return;
  if (phase_ == Phase::answering && output_.empty()) fill();
  if (!output_.empty()) {
    sending_.swap(output_);
    if (phase_ == Phase::answering) {
      const bool rest = source_ == Source::none;
      allow(rest ? service_.options.rest_patience : service_.options.write_patience);
    }
    return write_some();
  }
  if (phase_ != Phase::answering) return;
  if (source_ == Source::none) return answered();
  // A query has its own time, and a stream may be silent.
  timer_.cancel();
}

void ApiConnection::fill() {
  if (source_ == Source::query) fill_from_query();
  if (source_ == Source::stream) fill_from_stream();
}

void ApiConnection::fill_from_query() {
  std::string text;
  const bool more = query_->take(text);
  if (more && text.empty()) return;
  if (!more && !query_->result() && !head_sent_) {
    const Error error = query_->result().error();
    source_ = Source::none;
    query_.reset();
    return refuse({status_of(error), error});
  }
  if (!head_sent_) begin_body(media_type(format_));
  if (!more && !query_->result()) {
    // Too late for a status: the body ends before its end.
    if (format_ == RowFormat::json_lines) text += error_json(query_->result().error());
    broken_ = true;
  }
  append_body(text);
  if (!more) finish_body();
}

void ApiConnection::fill_from_stream() {
  const Origin origin = service_.sources.origin();
  std::string text;
  while (text.size() < service_.options.output_bytes) {
    const auto rows = stream_->take(kBatchRows);
    // Asked for behind the rows and told before them: a loss is never told late.
    if (const auto dropped = stream_->take_dropped()) {
      text += "{\"dropped\":" + std::to_string(dropped) + "}\n";
    }
    if (rows.empty()) break;
    for (const auto& row : rows) {
      const auto record = row.record();
      text += to_json(row.schema(), record.get(), origin) + '\n';
    }
  }
  append_body(text);
}

void ApiConnection::write_some() {
  socket_.async_write_some(asio::buffer(sending_.data() + sent_, sending_.size() - sent_),
                           [self = shared_from_this()](const ErrorCode& error, std::size_t bytes) {
                             if (self->phase_ == Phase::closed) return;
                             if (error) return self->close();
                             self->guard([&] { self->written(bytes); });
                           });
}

void ApiConnection::written(std::size_t bytes) {
  service_.sources.metrics
      .counter("trivet_api_sent_bytes_total", "Bytes that clients of the API have taken")
      .add(static_cast<double>(bytes));
  sent_ += bytes;
  if (sent_ < sending_.size()) {
    // Whoever goes on reading gets time, but not for ever for what is left.
    if (phase_ == Phase::answering && source_ != Source::none) {
      allow(service_.options.write_patience);
    }
    return write_some();
  }
  sending_.clear();
  sent_ = 0;
  pump();
}

void ApiConnection::answered() {
  if (!keep_alive_) return leave();
  phase_ = Phase::idle;
  allow(service_.options.idle_patience);
  if (!input_.empty()) next_request();
  read_more();
}

// A socket that is closed with input unread resets the connection, and the client may lose what it
// has not read yet. A broken answer is to be seen as one where chunks do not tell.
void ApiConnection::leave() {
  ErrorCode ignored;
  if (broken_ && !chunks_) {
    socket_.set_option(asio::socket_base::linger(true, 0), ignored);
    return close();
  }
  phase_ = Phase::leaving;
  socket_.shutdown(ApiSocket::shutdown_send, ignored);
  input_.clear();
  allow(kLeavePatience);
  read_more();
}

void ApiConnection::allow(Patience patience) {
  timer_.expires_after(patience);
  timer_.async_wait([self = shared_from_this()](const ErrorCode& error) {
    // One that was about to be called when the time was changed looks again.
    if (error || self->timer_.expiry() > std::chrono::steady_clock::now()) return;
    self->guard([&] { self->timed_out(); });
  });
}

void ApiConnection::timed_out() {
  if (phase_ == Phase::closed) return;
  if (phase_ == Phase::leaving || (phase_ == Phase::idle && !reader_.started())) return close();
  service_.sources.metrics
      .counter("trivet_api_timeouts_total",
               "Clients of the API that were too slow to ask or to read")
      .add();
  if (phase_ != Phase::receiving || !reader_.started()) return close();
  path_ = "other";
  keep_alive_ = chunks_ = head_only_ = false;
  phase_ = Phase::answering;
  refuse({408, Error{"the request did not come within " +
                     std::to_string(service_.options.request_patience.count() / 1000) + " s"}});
  pump();
}

std::function<void()> ApiConnection::waker() {
  return [io = service_.io, weak = weak_from_this()] {
    asio::post(*io, [weak] {
      if (auto self = weak.lock()) self->guard([&] { self->pump(); });
    });
  };
}

void ApiConnection::count_answer(unsigned status) {
  service_.sources.metrics
      .counter("trivet_api_requests_total", "Requests to the API by their answers",
               {{"path", path_}, {"status", std::to_string(status)}})
      .add();
}

}  // namespace trivet
