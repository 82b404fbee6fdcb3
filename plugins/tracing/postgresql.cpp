// SPDX-License-Identifier: Apache-2.0
#include "tracing/postgresql.h"

#include <deque>
#include <string>
#include <utility>

#include "tracing/fifo.h"
#include "tracing/postgresql_parser.h"
#include "tracing/postgresql_statements.h"
#include "tracing/sql.h"

namespace trivet::tracing {
namespace {

constexpr std::size_t max_name = PostgresqlStatements::max_name;

// The string up to NUL, which it takes off `text` with it.
std::string_view take_string(std::string_view& text) {
  const std::string_view string = text.substr(0, text.find('\0'));
  text.remove_prefix(std::min(text.size(), string.size() + 1));
  return string;
}

// What the server answers to one message of the client.
enum class Awaited { startup, query, parse, bind, describe, execute, close, sync };

struct PostgresqlExtra {
  unsigned awaited = 0;   // answers to its messages that are still to come
  bool executed = false;  // Execute was sent: only Sync can still belong to it
  bool simple = false;    // Query: has no parts
  bool failed = false;
};

class PostgresqlDialogue final : public FifoDialogue<PostgresqlRequest, PostgresqlExtra> {
 public:
  PostgresqlDialogue(const DatabaseOptions& options, Conversation& link)
      : FifoDialogue(link),
        options_(options),
        parsers_{PostgresqlParser(options.text_limit + max_name), PostgresqlParser(4096)} {
    link.need(Need::every_byte);
  }

  void on_bytes(Party from, std::string_view bytes, const Stamp& stamp) override;
  bool skip(Party from, std::uint64_t bytes, const Stamp&) override {
    // Texts and rows may lack bytes; names and outcomes would be others.
    return std::string_view(from == Party::client ? "Qd" : "Dd").find(parser(from).type()) !=
               std::string_view::npos &&
           parser(from).skip(bytes);
  }
  void on_lost(Party from, std::uint64_t time_ns) override;
  void restart(Party from) override;
  void abandon() override;
  void on_end(std::uint64_t time_ns) override;
  void expire() override;
  bool outstanding() const override { return FifoDialogue::outstanding() || !awaited_.empty(); }
  std::size_t memory() const override {
    return FifoDialogue::memory() + parsers_[0].held_bytes() + parsers_[1].held_bytes() +
           statements_.memory() + awaited_.size() * sizeof(Expected);
  }

 private:
  struct Expected {
    Awaited what;
    Exchange* exchange;  // whose part it is; null: nobody's
    std::string name;    // of the statement that is parsed
  };

  PostgresqlParser& parser(Party party) { return parsers_[static_cast<unsigned>(party)]; }
  void take_startup(const Stamp& stamp);
  void take_request(const Stamp& stamp);
  void take_answer(const Stamp& stamp);
  void take_error(const Stamp& stamp);
  void take_notification(const Stamp& stamp);
  Exchange* begin(const char* operation);
  Exchange* part_of_batch(const char* operation);
  void end_batch(std::uint64_t time_ns);
  void await(Awaited what, Exchange* e, std::string_view name = {});
  void answered(std::uint64_t time_ns);
  void set_query(Exchange& e, std::string_view text, bool truncated);
  void mark_truncated(Exchange& e, Party party) override {
    if (party == Party::client) e.record.query_truncated = true;
  }

  const DatabaseOptions& options_;
  PostgresqlParser parsers_[2];
  std::deque<Expected> awaited_;
  bool skips_ = false;    // the server passes over everything up to the next Sync
  bool startup_ = false;  // the client has not said which protocol it speaks
  std::uint64_t batch_last_ns_ = 0;
  Stamp message_stamp_;  // of the first byte of the client's message under way
  std::string user_;
  std::string database_;
  PostgresqlStatements statements_;
};

void PostgresqlDialogue::restart(Party from) {
  parser(from).reset();
}

void PostgresqlDialogue::abandon() {
  FifoDialogue::abandon();
  awaited_.clear();
  skips_ = false;
  statements_.clear();
}

void PostgresqlDialogue::on_end(std::uint64_t time_ns) {
  FifoDialogue::on_end(time_ns);
  awaited_.clear();
}

void PostgresqlDialogue::expire() {
  FifoDialogue::expire();
  if (!FifoDialogue::outstanding()) awaited_.clear();
}

void PostgresqlDialogue::on_lost(Party from, std::uint64_t time_ns) {
  // What was not seen may have prepared another statement under a known name, or failed to.
  statements_.clear();
  Exchange* e = from == Party::client ? unfinished() : nullptr;
  const bool answered = e && e->extra.awaited == 0 && link_.in_step(Party::server);
  FifoDialogue::on_lost(from, time_ns);
  if (answered) end_answer(time_ns);
  if (from == Party::server) {
    awaited_.clear();
    skips_ = false;
  }
}

void PostgresqlDialogue::on_bytes(Party from, std::string_view bytes, const Stamp& stamp) {
  PostgresqlParser& read = parser(from);
  while (!bytes.empty() && link_.in_step(from)) {
    if (from == Party::client && read.idle()) {
      message_stamp_ = stamp;
      // Startup packets have no type, and begin with the zeros of their length.
      startup_ = bytes.front() == '\0';
      if (startup_) read.expect_untyped();
    }
    switch (read.next(bytes)) {
      case PostgresqlParser::Step::need_more:
        return;
      case PostgresqlParser::Step::failed:
        ++link_.shared().parse_errors;
        tell_all("malformed");
        link_.finish();
        return;
      case PostgresqlParser::Step::message:
        if (from == Party::server) {
          take_answer(stamp);
        } else if (startup_) {
          take_startup(stamp);
        } else {
          take_request(stamp);
        }
        read.expect_typed();
    }
  }
}

// ---- the client ----

PostgresqlDialogue::Exchange* PostgresqlDialogue::begin(const char* operation) {
  end_batch(batch_last_ns_);
  link_.request_begins(message_stamp_);
  Exchange* e = begin_request(message_stamp_.time_ns);
  if (!e) return nullptr;
  e->record.operation = operation;
  e->record.user = user_;
  e->record.database = database_;
  return e;
}

// The exchange that messages up to Execute belong to, and Sync behind it.
PostgresqlDialogue::Exchange* PostgresqlDialogue::part_of_batch(const char* operation) {
  Exchange* e = unfinished();
  return e && !e->extra.executed ? e : begin(operation);
}

void PostgresqlDialogue::end_batch(std::uint64_t time_ns) {
  Exchange* e = unfinished();
  if (!e) return;
  if (!e->extra.executed && !e->record.query.empty() && !e->extra.simple) {
    e->record.operation = "PREPARE";
  }
  const bool answered = e->extra.awaited == 0 && link_.in_step(Party::server);
  end_request(time_ns);
  if (answered) end_answer(time_ns);
}

void PostgresqlDialogue::await(Awaited what, Exchange* e, std::string_view name) {
  if (!link_.in_step(Party::server)) return;
  if (skips_ && what != Awaited::sync) {
    if (e && !e->extra.failed) e->record.error = "aborted";
    return;
  }
  skips_ = false;
  if (e) ++e->extra.awaited;
  awaited_.push_back({what, e, std::string(name.substr(0, max_name))});
}

void PostgresqlDialogue::set_query(Exchange& e, std::string_view text, bool truncated) {
  PostgresqlRequest& r = e.record;
  truncated |= text.size() > options_.text_limit;
  text = text.substr(0, options_.text_limit);
  SqlText sql = read_sql(text, SqlDialect::postgresql, options_.redact);
  r.operation = std::move(sql.operation);
  r.query_truncated = truncated;
  if (e.keep == Keep::sizes) {
    r.query_truncated = true;
    return;
  }
  r.query = options_.redact_literals ? sql.fingerprint : std::move(sql.text);
  r.fingerprint = std::move(sql.fingerprint);
  charge(e, r.query.size() + r.fingerprint.size());
}

void PostgresqlDialogue::take_startup(const Stamp& stamp) {
  std::string_view body = parser(Party::client).body();
  const std::uint32_t code = body.size() >= 4 ? big_endian_32(body) : 0;
  if (code == postgresql_ssl || code == postgresql_gssenc) {
    parser(Party::server).expect_byte();
    return;
  }
  if (code == postgresql_cancel) {
    // Never answered: the server closes.
    if (Exchange* e = begin("CANCEL")) {
      e->record.request_bytes = parser(Party::client).size();
      e->answer_done = true;
      end_request(stamp.time_ns);
    }
    link_.finish();
    return;
  }
  if (code >> 16 != postgresql_3 >> 16) {
    ++link_.shared().parse_errors;
    link_.finish();
    return;
  }
  body.remove_prefix(4);
  while (!body.empty() && body.front() != '\0') {
    const std::string_view name = take_string(body);
    const std::string_view value = take_string(body);
    if (name == "user") user_ = value.substr(0, max_name);
    if (name == "database") database_ = value.substr(0, max_name);
  }
  if (database_.empty()) database_ = user_;
  Exchange* e = begin("CONNECT");
  if (!e) return;
  e->extra.executed = true;
  e->record.request_bytes = parser(Party::client).size();
  await(Awaited::startup, e);
  end_batch(stamp.time_ns);
}

void PostgresqlDialogue::take_request(const Stamp& stamp) {
  PostgresqlParser& read = parser(Party::client);
  std::string_view body = read.body();
  Exchange* e = nullptr;
  switch (read.type()) {
    case 'Q':
    case 'F':
      e = begin("FUNCTION CALL");
      if (!e) return;
      e->extra.executed = e->extra.simple = true;
      if (read.type() == 'Q') set_query(*e, take_string(body), !read.whole());
      await(Awaited::query, e);
      break;
    case 'P': {
      e = part_of_batch("PREPARE");
      if (!e) return;
      const std::string_view name = take_string(body);
      const std::string_view text = take_string(body);
      set_query(*e, text, !read.whole());
      e->record.statement = name;
      statements_.prepare(name, text, !read.whole());
      await(Awaited::parse, e, name);
      break;
    }
    case 'B':
    case 'E': {
      e = part_of_batch("EXECUTE");
      if (!e) return;
      const std::string_view portal = take_string(body);
      if (read.type() == 'B') statements_.bind(portal, take_string(body));
      if (const std::string* name = statements_.bound(portal)) {
        e->record.statement = *name;
        const auto* statement = statements_.find(*name);
        if (e->record.query.empty() && statement) {
          set_query(*e, statement->text, statement->truncated);
        }
      }
      if (read.type() == 'E') e->extra.executed = true;
      await(read.type() == 'B' ? Awaited::bind : Awaited::execute, e);
      break;
    }
    case 'D':
      e = part_of_batch("DESCRIBE");
      if (!e) return;
      await(Awaited::describe, e);
      break;
    case 'C':
      e = unfinished() ? unfinished() : begin("CLOSE");
      if (!e) return;
      if (body.starts_with('S')) {
        body.remove_prefix(1);
        statements_.forget(take_string(body));
      }
      await(Awaited::close, e);
      break;
    case 'S':
      e = unfinished();
      await(Awaited::sync, e);
      break;
    case 'd':
    case 'c':
    case 'f':
      if (Exchange* copies = unanswered(); copies && !copies->told) {
        copies->record.request_bytes += read.size();
      }
      return;
    case 'H':
    case 'p':
    case 'X':
      return;
    default:
      link_.distrust_requests(stamp.time_ns);
      return;
  }
  batch_last_ns_ = stamp.time_ns;
  if (!e) return;
  e->record.request_bytes += read.size();
  if (read.type() == 'Q' || read.type() == 'F' || read.type() == 'S') end_batch(stamp.time_ns);
}

// ---- the server ----

void PostgresqlDialogue::answered(std::uint64_t time_ns) {
  Exchange* e = awaited_.front().exchange;
  awaited_.pop_front();
  if (!e) return;
  if (--e->extra.awaited == 0 && e->request_done) end_answer(time_ns);
}

void PostgresqlDialogue::take_answer(const Stamp& stamp) {
  PostgresqlParser& read = parser(Party::server);
  if (read.expects_byte()) {
    if (read.type() == 'S') {
      link_.reopen(Party::server);
    } else if (read.type() != 'N') {
      link_.finish();
    }
    return;
  }
  const char type = read.type();
  if (type == 'A') take_notification(stamp);
  if (type == 'A' || type == 'N' || type == 'S') return;
  if (awaited_.empty()) {
    // The server may say why it ends the connection without being asked.
    if (type != 'E') link_.lose(Party::server, stamp.time_ns);
    return;
  }
  const Awaited what = awaited_.front().what;
  Exchange* e = awaited_.front().exchange;
  const bool runs = what == Awaited::query || what == Awaited::execute;
  if (e) {
    if (!e->answer_begun) begin_answer(*e, stamp.time_ns);
    e->record.response_bytes += read.size();
  }
  bool expected = false;
  bool complete = false;
  switch (type) {
    case 'E':
      take_error(stamp);
      return;
    case 'R':
    case 'K':
    case 'v':
      expected = what == Awaited::startup;
      break;
    case 'Z':
      expected = complete =
          what == Awaited::startup || what == Awaited::query || what == Awaited::sync;
      break;
    case '1':
      expected = complete = what == Awaited::parse;
      break;
    case '2':
      expected = complete = what == Awaited::bind;
      break;
    case '3':
      expected = complete = what == Awaited::close;
      break;
    case 't':
      expected = what == Awaited::describe;
      break;
    case 'n':
      expected = complete = what == Awaited::describe;
      break;
    case 'T':
      complete = what == Awaited::describe;
      expected = complete || runs;
      break;
    case 'D':
      expected = runs;
      if (e && runs) ++e->record.rows;
      break;
    case 'C':
    case 'I':
    case 's':
      expected = runs;
      complete = what == Awaited::execute;
      if (e && type == 'C') {
        std::string_view body = read.body();
        e->record.command_tag = take_string(body).substr(0, max_name);
      }
      break;
    case 'V':
    case 'G':
    case 'H':
    case 'd':
    case 'c':
      expected = runs;
      break;
    case 'W':
      // Replication: nothing is asked and answered any more.
      tell_all("");
      link_.finish();
      return;
    default:
      break;
  }
  if (!expected) {
    link_.lose(Party::server, stamp.time_ns);
  } else if (complete) {
    answered(stamp.time_ns);
  }
}

void PostgresqlDialogue::take_error(const Stamp& stamp) {
  const Awaited what = awaited_.front().what;
  Exchange* e = awaited_.front().exchange;
  if (e) {
    std::string_view body = parser(Party::server).body();
    while (!body.empty() && body.front() != '\0') {
      const char field = body.front();
      body.remove_prefix(1);
      const std::string_view value = take_string(body);
      if (field == 'C') e->record.status = value.substr(0, 5);
      // Messages quote literals.
      if (field == 'M' && !options_.redact_literals)
        e->record.error_message = value.substr(0, options_.text_limit);
    }
    e->extra.failed = true;
  }
  if (what == Awaited::query || what == Awaited::sync) return;  // ReadyForQuery follows
  if (what == Awaited::startup) {
    answered(stamp.time_ns);
    return;
  }
  // All up to the next Sync is passed over by the server, what it has not been sent yet included.
  skips_ = true;
  while (!awaited_.empty() && skips_) {
    Expected& next = awaited_.front();
    if (next.what == Awaited::sync) {
      skips_ = false;
      break;
    }
    if (next.what == Awaited::parse) statements_.forget(next.name);
    if (next.exchange && !next.exchange->extra.failed) next.exchange->record.error = "aborted";
    answered(stamp.time_ns);
  }
}

void PostgresqlDialogue::take_notification(const Stamp& stamp) {
  std::string_view body = parser(Party::server).body();
  body.remove_prefix(std::min<std::size_t>(4, body.size()));
  PostgresqlRequest r;
  r.time = Time{stamp.time_ns};
  r.role = link_.role();
  r.operation = "NOTIFICATION";
  r.user = user_;
  r.database = database_;
  r.query = "NOTIFY ";
  r.query += take_string(body);
  r.query += ", '";
  const std::string_view payload = take_string(body).substr(0, options_.text_limit);
  r.query += options_.redact_literals ? redacted : payload;
  r.query += '\'';
  r.response_bytes = parser(Party::server).size();
  link_.publish(std::move(r));
}

}  // namespace

std::unique_ptr<Dialogue> open_postgresql(const Options& options, Conversation& link) {
  return std::make_unique<PostgresqlDialogue>(options.postgresql, link);
}

}  // namespace trivet::tracing
