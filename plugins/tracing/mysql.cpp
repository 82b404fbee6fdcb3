// SPDX-License-Identifier: Apache-2.0
#include "tracing/mysql.h"

#include <optional>
#include <string>
#include <utility>

#include "tracing/fifo.h"
#include "tracing/mysql_answers.h"
#include "tracing/mysql_commands.h"
#include "tracing/mysql_statements.h"
#include "tracing/sql.h"

namespace trivet::tracing {
namespace {

using mysql::take_bytes;
using mysql::take_length;
using mysql::take_number;
using mysql::take_string;

constexpr std::size_t max_name = 256;
// Read beyond the statement: its attributes; of a login the names and what lies between them.
constexpr std::size_t keep_beside_text = 1024;

constexpr std::uint32_t client_connect_with_db = 1u << 3, client_compress = 1u << 5,
                        client_protocol_41 = 1u << 9, client_ssl = 1u << 11,
                        client_secure_connection = 1u << 15, client_lenenc_auth = 1u << 21,
                        client_deprecate_eof = 1u << 24, client_zstd = 1u << 26;
constexpr unsigned char error_mark = 0xff;
constexpr std::uint64_t ssl_request_bytes = 32;
struct MysqlExtra {
  std::uint8_t command = mysql::change_user;  // a login is told as one
  MysqlAnswer answer = MysqlAnswer::login;
  std::uint8_t next_sequence = 0;  // of the next packet that belongs to it
  MysqlStatements::Statement prepares;
  std::string user;      // once the server says OK
  std::string database;  // likewise
};

class MysqlDialogue final : public FifoDialogue<MysqlRequest, MysqlExtra> {
 public:
  MysqlDialogue(const DatabaseOptions& options, Conversation& link)
      : FifoDialogue(link),
        options_(options),
        packets_{MysqlPackets(options.text_limit + keep_beside_text), MysqlPackets(4096)},
        answers_(options.redact_literals ? 0 : options.text_limit) {
    link.need(Need::every_byte);
  }

  void on_bytes(Party from, std::string_view bytes, const Stamp& stamp) override;
  bool skip(Party from, std::uint64_t bytes, const Stamp&) override;
  void on_lost(Party from, std::uint64_t time_ns) override;
  void restart(Party from) override;
  void abandon() override;
  void close(const char* error) override {
    FifoDialogue::close(error);
    for (MysqlPackets& each : packets_) each.reset();
  }
  std::size_t memory() const override {
    return FifoDialogue::memory() + packets_[0].held_bytes() + packets_[1].held_bytes() +
           statements_.memory();
  }

 private:
  enum class Session { unknown, greeted, login, open };

  MysqlPackets& packets(Party party) { return packets_[static_cast<unsigned>(party)]; }
  void fail(Party from, std::uint64_t time_ns);

  bool continues(const MysqlPackets& read);
  bool take_login(const Stamp& stamp);
  void take_command(const Stamp& stamp);
  void take_arguments(Exchange& e, std::string_view arguments);
  void set_query(Exchange& e, std::string_view text, bool truncated);
  Exchange* begin(std::string_view operation);

  void take_answer(const Stamp& stamp);
  void take_unasked(const Stamp& stamp);
  void take_greeting(std::string_view body);
  void succeed(Exchange& e);
  void mark_truncated(Exchange& e, Party party) override {
    if (party == Party::client) e.record.query_truncated = true;
  }

  const DatabaseOptions& options_;
  MysqlPackets packets_[2];  // by party
  Stamp begun_[2];           // when the packet under way began
  // The session.
  Session session_ = Session::unknown;
  std::uint32_t capabilities_ = 0;   // of the server, then of both
  std::optional<bool> compression_;  // of commands and their answers, where it is known
  std::string server_version_;
  std::string user_;
  std::string database_;
  // The client.
  std::uint8_t last_sequence_ = 0;
  bool continued_ = false;  // its last packet was no command, and more may follow
  MysqlAnswers answers_;
  MysqlStatements statements_;
};

// ---- both ----

void MysqlDialogue::on_bytes(Party from, std::string_view bytes, const Stamp& stamp) {
  MysqlPackets& read = packets(from);
  // A command tells by its own bytes.
  if (from == Party::client && !compression_ && read.idle() && bytes.size() > 3 && bytes[3] == 0) {
    compression_ = mysql::begins_compressed(bytes);
    if (*compression_) {
      for (MysqlPackets& each : packets_) each.set_compressed();
    }
  }
  while (link_.in_step(from)) {
    if (read.idle()) begun_[static_cast<unsigned>(from)] = stamp;
    switch (read.next(bytes)) {
      case MysqlPackets::Step::need_more:
        return;
      case MysqlPackets::Step::failed:
        fail(from, stamp.time_ns);
        return;
      case MysqlPackets::Step::packet:
        break;
    }
    if (from == Party::server) {
      take_answer(stamp);
    } else if (continues(read)) {
      if (take_login(stamp)) {
        link_.reopen(Party::client, bytes);
        return;
      }
    } else {
      take_command(stamp);
    }
  }
}

void MysqlDialogue::fail(Party from, std::uint64_t time_ns) {
  if (from == Party::client) {
    link_.distrust_requests(time_ns);
    if (!outstanding()) link_.finish();
    return;
  }
  ++link_.shared().parse_errors;
  tell_all("malformed");
  link_.finish();
}

bool MysqlDialogue::skip(Party from, std::uint64_t bytes, const Stamp&) {
  // Texts and rows may lack bytes; what tells a packet's meaning has been seen.
  const std::string_view body = packets(from).body();
  if (body.empty() || session_ != Session::open) return false;
  const auto mark = static_cast<unsigned char>(body[0]);
  const bool bulky = from == Party::client ? packets(from).first_sequence() != 0 ||
                                                 mark == mysql::query || mark == mysql::prepare
                                           : answers_.in_row(packets(from));
  return bulky && packets(from).skip(bytes);
}

void MysqlDialogue::on_lost(Party from, std::uint64_t time_ns) {
  // What was not seen may have closed statements, or the session.
  statements_.clear();
  if (from == Party::client) {
    database_.clear();
    user_.clear();
  }
  if (session_ != Session::open) compression_.reset();
  FifoDialogue::on_lost(from, time_ns);
}

void MysqlDialogue::restart(Party from) {
  packets(from).reset();
  if (from == Party::client) {
    continued_ = false;
  } else {
    answers_.restart();
  }
}

void MysqlDialogue::abandon() {
  FifoDialogue::abandon();
  statements_.clear();
}

// ---- the client ----

// Whether a packet goes on with what was asked before: a login's next step, or a file's content.
// Commands count from 0; only a file has so many packets that they come to 0 again.
bool MysqlDialogue::continues(const MysqlPackets& read) {
  const bool on = read.first_sequence() != 0 || (continued_ && last_sequence_ == 255);
  last_sequence_ = read.last_sequence();
  continued_ = on && read.payload_bytes() > 0;
  return on;
}

MysqlDialogue::Exchange* MysqlDialogue::begin(std::string_view operation) {
  const Stamp& stamp = begun_[static_cast<unsigned>(Party::client)];
  const MysqlPackets& read = packets(Party::client);
  link_.request_begins(stamp);
  Exchange* e = begin_request(stamp.time_ns);
  if (!e) return nullptr;
  MysqlRequest& r = e->record;
  r.operation = operation;
  r.user = user_;
  r.database = database_;
  r.server_version = server_version_;
  r.request_bytes = read.size();
  e->extra.next_sequence = static_cast<std::uint8_t>(read.last_sequence() + 1);
  return e;
}

// True if TLS follows.
bool MysqlDialogue::take_login(const Stamp& stamp) {
  const MysqlPackets& read = packets(Party::client);
  if (Exchange* e = unanswered()) {
    if (!e->told) e->record.request_bytes += read.size();
    e->extra.next_sequence = static_cast<std::uint8_t>(read.last_sequence() + 1);
    return false;
  }
  if (session_ != Session::greeted) return false;
  std::string_view body = read.body();
  const auto wanted = static_cast<std::uint32_t>(take_number(body, 4));
  if (!(wanted & client_protocol_41)) {
    fail(Party::client, stamp.time_ns);
    return false;
  }
  if (wanted & client_ssl && read.payload_bytes() == ssl_request_bytes) return true;
  session_ = Session::login;
  capabilities_ &= wanted;
  take_bytes(body, 28);  // packets' size, character set, MariaDB's capabilities
  const std::string_view user = take_string(body);
  if (wanted & client_lenenc_auth) {
    take_bytes(body, take_length(body));
  } else if (wanted & client_secure_connection) {
    take_bytes(body, take_number(body, 1));
  } else {
    take_string(body);
  }
  user_ = user.substr(0, max_name);
  if (wanted & client_connect_with_db) database_ = take_string(body).substr(0, max_name);
  if (Exchange* e = begin("CONNECT")) {
    e->extra.user = user_;
    e->extra.database = database_;
    end_request(stamp.time_ns);
  }
  return false;
}

void MysqlDialogue::take_command(const Stamp& stamp) {
  const MysqlPackets& read = packets(Party::client);
  std::string_view body = read.body();
  const MysqlCommand* command = body.empty() ? nullptr : mysql::find_command(body[0]);
  if (!command) {
    fail(Party::client, stamp.time_ns);
    return;
  }
  session_ = Session::open;
  Exchange* e = begin(command->name);
  if (!e) return;
  e->record.command = command->code;
  e->extra.command = command->code;
  e->extra.answer = command->answer;
  body.remove_prefix(1);
  take_arguments(*e, body);
  if (command->answer == MysqlAnswer::replication) {
    // From here on nothing is asked and answered any more.
    end_request(stamp.time_ns);
    tell_all("");
    link_.finish();
    return;
  }
  if (command->answer == MysqlAnswer::none) e->answer_done = true;
  end_request(stamp.time_ns);
}

void MysqlDialogue::take_arguments(Exchange& e, std::string_view arguments) {
  const bool cut = !packets(Party::client).whole();
  const std::uint8_t code = e.extra.command;
  switch (code) {
    case mysql::query:
      mysql::take_attributes(arguments);
      set_query(e, arguments, cut);
      if (e.record.operation == "USE") {
        std::string_view name = arguments.substr(std::min<std::size_t>(arguments.size(), 4));
        name = name.substr(std::min(name.size(), name.find_first_not_of(" \t\r\n`")));
        e.extra.database = name.substr(0, std::min(max_name, name.find_first_of(" \t\r\n`;")));
      }
      return;
    case mysql::init_db:
      e.extra.database = arguments.substr(0, max_name);
      return;
    case mysql::prepare: {
      e.extra.prepares = {std::string(arguments.substr(0, options_.text_limit)),
                          cut || arguments.size() > options_.text_limit};
      charge(e, e.extra.prepares.memory());
      statements_.prepare(e.extra.prepares);
      set_query(e, arguments, cut);
      e.record.operation = "PREPARE";
      return;
    }
    case mysql::change_user: {
      e.extra.user = take_string(arguments).substr(0, max_name);
      take_bytes(arguments, take_number(arguments, 1));
      e.extra.database = take_string(arguments).substr(0, max_name);
      return;
    }
    case mysql::execute:
    case mysql::bulk_execute:
    case mysql::long_data:
    case mysql::close:
    case mysql::reset:
    case mysql::fetch: {
      const auto id = static_cast<std::uint32_t>(take_number(arguments, 4));
      if (id != MysqlStatements::last_id) e.record.statement = id;
      if (const auto* statement = statements_.find(id)) {
        const std::string operation = e.record.operation;
        set_query(e, statement->text, statement->truncated);
        if (e.extra.answer != MysqlAnswer::result) e.record.operation = operation;
      }
      if (code == mysql::close) statements_.forget(id);
      return;
    }
    default:
      return;
  }
}

void MysqlDialogue::set_query(Exchange& e, std::string_view text, bool truncated) {
  MysqlRequest& r = e.record;
  truncated |= text.size() > options_.text_limit;
  text = text.substr(0, options_.text_limit);
  SqlText sql = read_sql(text, SqlDialect::mysql, options_.redact);
  if (!sql.operation.empty()) r.operation = std::move(sql.operation);
  r.query_truncated = truncated;
  if (e.keep == Keep::sizes) {
    r.query_truncated = true;
    return;
  }
  r.query = options_.redact_literals ? sql.fingerprint : std::move(sql.text);
  r.fingerprint = std::move(sql.fingerprint);
  charge(e, r.query.size() + r.fingerprint.size());
}

// ---- the server ----

void MysqlDialogue::take_answer(const Stamp& stamp) {
  const MysqlPackets& read = packets(Party::server);
  const std::string_view body = read.body();
  if (body.empty()) {
    // An empty row's only form is a byte, and all else has a mark.
    link_.lose(Party::server, stamp.time_ns);
    return;
  }
  if (answers_.takes_late(read)) return;
  Exchange* e = unanswered();
  if (!e) {
    take_unasked(stamp);
    return;
  }
  // Packets of an exchange are numbered through; frames of the compressed protocol are instead.
  if (!read.compressed() && read.first_sequence() != e->extra.next_sequence) {
    link_.lose(Party::server, stamp.time_ns);
    return;
  }
  e->extra.next_sequence = static_cast<std::uint8_t>(read.last_sequence() + 1);
  if (!e->answer_begun) {
    begin_answer(*e, begun_[static_cast<unsigned>(Party::server)].time_ns);
    if (!e->told) e->record.database = database_;
  }
  if (!e->told) e->record.response_bytes += read.size();
  switch (answers_.next(e->extra.answer, read, e->record)) {
    case MysqlAnswers::Step::more:
      return;
    case MysqlAnswers::Step::lost:
      link_.lose(Party::server, stamp.time_ns);
      return;
    case MysqlAnswers::Step::done:
      succeed(*e);
      break;
    case MysqlAnswers::Step::refused:
      break;
  }
  end_answer(stamp.time_ns);
}

// What the server says of its own accord: its greeting, or why it ends the connection.
void MysqlDialogue::take_unasked(const Stamp& stamp) {
  const MysqlPackets& read = packets(Party::server);
  const std::string_view body = read.body();
  const bool error = static_cast<unsigned char>(body[0]) == error_mark;
  if (session_ == Session::unknown && read.first_sequence() == 0 && (error || body[0] == 10)) {
    if (error) {
      MysqlRequest r;
      r.time = Time{stamp.time_ns};
      r.role = link_.role();
      r.operation = "CONNECT";
      r.response_bytes = read.size();
      answers_.take_error(body, r);
      link_.publish(std::move(r));
      link_.finish();
    } else {
      take_greeting(body);
    }
  } else if (!error) {
    // The command was not seen.
    link_.lose(Party::server, stamp.time_ns);
  }
}

void MysqlDialogue::take_greeting(std::string_view body) {
  take_number(body, 1);
  server_version_ = take_string(body).substr(0, max_name);
  // What MariaDB says first, since replicas know no version beyond 5.
  constexpr std::string_view for_replicas = "5.5.5-";
  if (server_version_.starts_with(for_replicas)) server_version_.erase(0, for_replicas.size());
  take_bytes(body, 4 + 8 + 1);  // connection's id, challenge, filler
  capabilities_ = static_cast<std::uint32_t>(take_number(body, 2));
  take_bytes(body, 1 + 2);  // character set, status
  capabilities_ |= static_cast<std::uint32_t>(take_number(body, 2)) << 16;
  session_ = Session::greeted;
  compression_ = false;
}

// The server has done it: what it says of the session is so.
void MysqlDialogue::succeed(Exchange& e) {
  if (e.extra.answer == MysqlAnswer::login) {
    user_ = e.extra.user;
    database_ = e.extra.database;
    if (session_ == Session::login) {
      session_ = Session::open;
      answers_.set_eof(!(capabilities_ & client_deprecate_eof));
      compression_ = (capabilities_ & (client_compress | client_zstd)) != 0;
      if (*compression_) {
        for (MysqlPackets& each : packets_) each.set_compressed();
      }
    }
  } else if (!e.extra.database.empty()) {
    database_ = e.extra.database;
  }
  if (e.extra.command == mysql::change_user || e.extra.command == mysql::reset_connection) {
    statements_.clear();
  }
  if (e.extra.answer == MysqlAnswer::statement) {
    statements_.remember(*e.record.statement, std::move(e.extra.prepares));
  }
  if (!e.told) e.record.database = database_;
}

}  // namespace

std::unique_ptr<Dialogue> open_mysql(const Options& options, Conversation& link) {
  return std::make_unique<MysqlDialogue>(options.mysql, link);
}

}  // namespace trivet::tracing
