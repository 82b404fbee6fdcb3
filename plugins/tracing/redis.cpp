// SPDX-License-Identifier: Apache-2.0
#include "tracing/redis.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string>
#include <utility>

#include "tracing/fifo.h"
#include "tracing/resp_parser.h"

namespace trivet::tracing {
namespace {

// Words that people type, and that a command found half-way is believed by.
constexpr std::array<std::string_view, 60> known_commands = {
    "ACL",    "APPEND",  "AUTH",     "BLPOP",   "BRPOP",  "CLIENT",    "CLUSTER",    "COMMAND",
    "CONFIG", "DBSIZE",  "DECR",     "DEL",     "ECHO",   "EVAL",      "EVALSHA",    "EXEC",
    "EXISTS", "EXPIRE",  "FLUSHALL", "FLUSHDB", "GET",    "GETSET",    "HDEL",       "HELLO",
    "HGET",   "HGETALL", "HMGET",    "HMSET",   "HSET",   "INCR",      "INCRBY",     "INFO",
    "KEYS",   "LLEN",    "LPOP",     "LPUSH",   "LRANGE", "MGET",      "MONITOR",    "MSET",
    "MULTI",  "PING",    "PUBLISH",  "QUIT",    "RPOP",   "RPUSH",     "SADD",       "SCAN",
    "SELECT", "SET",     "SETEX",    "SLOWLOG", "SPOP",   "SUBSCRIBE", "PSUBSCRIBE", "TTL",
    "XADD",   "XREAD",   "ZADD",     "ZRANGE"};

// Commands whose second word says what they do.
constexpr std::array<std::string_view, 16> containers = {
    "ACL",    "CLIENT", "CLUSTER", "COMMAND", "CONFIG",  "FUNCTION", "LATENCY", "MEMORY",
    "MODULE", "OBJECT", "PUBSUB",  "SCRIPT",  "SLOWLOG", "XGROUP",   "XINFO",   "DEBUG"};

std::string in_capitals(std::string_view text) {
  std::string capitals(text.substr(0, 64));
  for (char& c : capitals) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
  }
  return capitals;
}

template <std::size_t n>
bool one_of(const std::array<std::string_view, n>& words, std::string_view word) {
  return std::ranges::find(words, word) != words.end();
}

bool is_subscription(std::string_view command) {
  return command.ends_with("SUBSCRIBE");
}

bool is_message(std::string_view word) {
  return word == "message" || word == "pmessage" || word == "smessage";
}

// What names or is a secret; `words` begins with the command itself.
void redact(std::vector<std::string>& words, const std::string& command) {
  const auto hide_from = [&](std::size_t first, std::size_t count) {
    for (std::size_t i = first; i < words.size() && i - first < count; ++i) words[i] = redacted;
  };
  if (command == "AUTH") hide_from(1, words.size());
  if (command == "ACL SETUSER") hide_from(3, words.size());
  if (command == "CONFIG SET") {
    for (std::size_t i = 2; i + 1 < words.size(); i += 2) {
      const std::string name = in_capitals(words[i]);
      if (name == "REQUIREPASS" || name.starts_with("MASTERAUTH") || name.ends_with("-PASS")) {
        words[i + 1] = redacted;
      }
    }
  }
  if (command == "HELLO" || command == "MIGRATE") {
    for (std::size_t i = 1; i < words.size(); ++i) {
      const std::string word = in_capitals(words[i]);
      if (word == "AUTH") hide_from(i + 1, command == "HELLO" ? 2 : 1);
      if (word == "AUTH2") hide_from(i + 1, 2);
    }
  }
}

// redis-cli --pipe sends as much as sockets hold; memory ends it before this does.
constexpr std::size_t max_outstanding = 65536;

struct RedisExtra {
  std::string command;
  unsigned replies = 1;                  // that are still to come
  std::optional<std::uint32_t> selects;  // the database, once the reply is OK
};

class RedisDialogue final : public FifoDialogue<RedisRequest, RedisExtra> {
 public:
  RedisDialogue(const DatabaseOptions& options, Conversation& link)
      : FifoDialogue(link, max_outstanding),
        options_(options),
        commands_(RespParser::Kind::commands, options.text_limit),
        replies_(RespParser::Kind::replies, options.text_limit) {
    link.need(Need::every_byte);
  }

  void on_bytes(Party from, std::string_view bytes, const Stamp& stamp) override;
  bool skip(Party from, std::uint64_t bytes, const Stamp&) override {
    return (from == Party::client ? commands_ : replies_).skip(bytes);
  }
  void on_lost(Party from, std::uint64_t time_ns) override;
  void restart(Party from) override;
  std::size_t memory() const override {
    return FifoDialogue::memory() + commands_.held_bytes() + replies_.held_bytes();
  }

 private:
  void take_commands(std::string_view bytes, const Stamp& stamp);
  void take_command(Exchange& e);
  void take_replies(std::string_view bytes, const Stamp& stamp);
  void take_reply(const Stamp& stamp);
  void answer(Exchange& e, const Stamp& stamp);
  void push();
  bool in_subscription();
  void mark_truncated(Exchange& e, Party party) override {
    (party == Party::client ? e.record.arguments_truncated : e.record.response_truncated) = true;
  }
  void fail(Party from, std::uint64_t time_ns);

  const DatabaseOptions& options_;
  RespParser commands_;
  RespParser replies_;
  std::uint64_t reply_first_ns_ = 0;
  std::optional<std::uint32_t> database_;
  bool silent_ = false;       // CLIENT REPLY OFF
  bool silent_next_ = false;  // CLIENT REPLY SKIP
  bool monitors_ = false;
};

void RedisDialogue::restart(Party from) {
  (from == Party::client ? commands_ : replies_).reset();
  if (from == Party::client) silent_ = silent_next_ = monitors_ = false;
}

void RedisDialogue::on_lost(Party from, std::uint64_t time_ns) {
  // What was not seen may have been a SELECT.
  if (from == Party::client) database_.reset();
  FifoDialogue::on_lost(from, time_ns);
}

void RedisDialogue::on_bytes(Party from, std::string_view bytes, const Stamp& stamp) {
  if (from == Party::client) {
    take_commands(bytes, stamp);
  } else {
    take_replies(bytes, stamp);
  }
}

void RedisDialogue::fail(Party from, std::uint64_t time_ns) {
  if (from == Party::client) {
    if (Exchange* e = unfinished()) e->record.error = "malformed";
    link_.distrust_requests(time_ns);
    if (!outstanding()) link_.finish();
    return;
  }
  ++link_.shared().parse_errors;
  tell_all("malformed");
  link_.finish();
}

void RedisDialogue::take_commands(std::string_view bytes, const Stamp& stamp) {
  while (!bytes.empty() && link_.in_step(Party::client)) {
    if (commands_.idle()) {
      // Empty lines are no commands.
      if (bytes.front() == '\n' || bytes.starts_with("\r\n")) {
        bytes.remove_prefix(bytes.front() == '\n' ? 1 : 2);
        continue;
      }
      link_.request_begins(stamp);
      if (!begin_request(stamp.time_ns)) return;
    }
    const RespParser::Step step = commands_.next(bytes);
    if (step == RespParser::Step::failed) {
      fail(Party::client, stamp.time_ns);
      return;
    }
    Exchange* e = unfinished();
    if (step == RespParser::Step::need_more || !e) return;
    if (step == RespParser::Step::nothing) {
      drop_request();
      continue;
    }
    take_command(*e);
    end_request(stamp.time_ns);
  }
}

void RedisDialogue::take_command(Exchange& e) {
  std::vector<std::string> words = commands_.words();
  RedisRequest& r = e.record;
  r.request_bytes = commands_.size();
  r.arguments_truncated |= commands_.truncated();
  r.database = database_;
  std::string& command = e.extra.command;
  command = in_capitals(words[0]);
  std::size_t own_words = 1;
  if (words.size() > 1 && one_of(containers, command)) {
    command += ' ' + in_capitals(words[1]);
    own_words = 2;
  }
  r.command = command;
  const std::string second = words.size() > own_words ? in_capitals(words[own_words]) : "";

  if (is_subscription(command) && words.size() > 1) {
    e.extra.replies = static_cast<unsigned>(words.size() - 1);
  }
  if (command == "SELECT" && words.size() == 2) {
    std::uint32_t database = 0;
    const auto [end, error] =
        std::from_chars(words[1].data(), words[1].data() + words[1].size(), database);
    if (error == std::errc()) e.extra.selects = database;
  }
  if (command == "MONITOR") monitors_ = true;
  if (command == "RESET") monitors_ = silent_ = false;
  const bool switches = command == "CLIENT REPLY";
  if (switches && second == "ON" && exchanges().size() > 1 && !silent_) {
    // Requests are waiting that this connection may have been told not to answer, unseen.
    link_.lose(Party::server, e.request_first_ns);
  }
  if (switches && second == "OFF") silent_ = true;
  if (switches && second == "ON") silent_ = silent_next_ = false;
  if (silent_ || (switches && second == "SKIP") || std::exchange(silent_next_, false)) {
    e.answer_done = true;
  }
  if (switches && second == "SKIP") silent_next_ = true;
  if (command == "PSYNC" || command == "SYNC") {
    // From here on the connection replicates: nothing is asked and answered any more.
    e.request_done = true;
    tell_all("");
    link_.finish();
    return;
  }

  if (e.keep == Keep::sizes) {
    r.arguments_truncated = words.size() > own_words;
    return;
  }
  if (options_.redact) redact(words, command);
  words.erase(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(own_words));
  for (const std::string& word : words) charge(e, sizeof(std::string) + word.size());
  r.arguments = std::move(words);
}

void RedisDialogue::take_replies(std::string_view bytes, const Stamp& stamp) {
  while (!bytes.empty() && link_.in_step(Party::server)) {
    if (replies_.idle()) {
      reply_first_ns_ = stamp.time_ns;
      const char type = bytes.front();
      Exchange* e = unanswered();
      if (e && !e->answer_begun && type != '>' && type != '|' &&
          (type != '*' || !in_subscription())) {
        begin_answer(*e, stamp.time_ns);
      }
    }
    switch (replies_.next(bytes)) {
      case RespParser::Step::need_more:
      case RespParser::Step::nothing:
        return;
      case RespParser::Step::failed:
        fail(Party::server, stamp.time_ns);
        return;
      case RespParser::Step::value:
        take_reply(stamp);
        break;
    }
  }
}

// Whether the reply at hand may be a message that was published: RESP2 has no other mark of it.
bool RedisDialogue::in_subscription() {
  const Exchange* e = unanswered();
  return !e || is_subscription(e->extra.command) || e->extra.command == "PING" ||
         e->extra.command == "QUIT" || e->extra.command == "RESET";
}

void RedisDialogue::take_reply(const Stamp& stamp) {
  const std::string word = replies_.words().empty() ? std::string() : replies_.words()[0];
  Exchange* e = unanswered();
  if (replies_.type() == '>' || (replies_.type() == '*' && in_subscription())) {
    const std::string kind = in_capitals(word);
    if (is_subscription(kind)) {
      // Without names, UNSUBSCRIBE is answered once for each of those that there were.
      if (e && e->extra.command == kind) answer(*e, stamp);
      if (e || link_.in_step(Party::client)) return;
    } else if (replies_.type() == '>' || (is_message(word) && link_.in_step(Party::client))) {
      push();
      return;
    }
  }
  if (e) {
    answer(*e, stamp);
  } else if (!monitors_ || replies_.type() != '+') {
    // Unasked for: the command was not seen.
    link_.lose(Party::server, stamp.time_ns);
  }
}

void RedisDialogue::answer(Exchange& e, const Stamp& stamp) {
  if (!e.answer_begun) begin_answer(e, reply_first_ns_);
  RedisRequest& r = e.record;
  r.response_bytes += replies_.size();
  const std::string& text = replies_.text();
  const bool error = replies_.type() == '-' || replies_.type() == '!';
  if (error) r.status = text.substr(0, std::min<std::size_t>(text.find(' '), 32));
  if (e.keep == Keep::whole) {
    if (!r.response.empty()) keep_text(e, r.response, "\n", options_.text_limit);
    if (!keep_text(e, r.response, text, options_.text_limit) || replies_.truncated()) {
      r.response_truncated = true;
    }
  } else {
    r.response_truncated = true;
  }
  // An error is the one answer, however many were to come.
  if (!error && --e.extra.replies > 0) return;
  if (e.extra.selects && text == "OK") database_ = r.database = e.extra.selects;
  if (e.extra.selects && text == "QUEUED") database_.reset();
  if (e.extra.command == "RESET" && link_.in_step(Party::client)) database_ = 0;
  end_answer(stamp.time_ns);
}

void RedisDialogue::push() {
  RedisRequest r;
  r.time = Time{reply_first_ns_};
  r.role = link_.role();
  r.command = "PUSH";
  r.database = database_;
  r.response_bytes = replies_.size();
  r.response_truncated = replies_.truncated();
  if (link_.shared().budget.keep() == Keep::whole) {
    r.response = replies_.text();
  } else {
    r.response_truncated = true;
  }
  link_.publish(std::move(r));
}

bool is_reply_type(char c) {
  return std::string_view("*+-:$_#,(!=%~>|").find(c) != std::string_view::npos;
}

bool is_number(std::string_view text) {
  return !text.empty() && text.size() <= 10 &&
         std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

// Takes a line with its CRLF off the text; false if it has not ended.
bool take_line(std::string_view& text, std::string_view& line) {
  const std::size_t end = text.find("\r\n");
  line = text.substr(0, end);
  if (end == std::string_view::npos) return false;
  text.remove_prefix(end + 2);
  return true;
}

}  // namespace

Inference infer_redis(const Opening& opening) {
  constexpr unsigned perhaps = 20;
  std::string_view bytes = opening.bytes;
  std::string_view line;
  if (bytes.starts_with('*')) {
    // *2 CRLF $3 CRLF GET CRLF ...
    if (bytes.size() == 1) return {perhaps};
    bool whole = take_line(bytes, line);
    if (!is_number(line.substr(1, line.find('\r') - 1))) return {};
    if (!whole || bytes.empty()) return {perhaps};
    if (bytes.front() != '$') return {};
    if (bytes.size() == 1) return {perhaps};
    whole = take_line(bytes, line);
    if (!is_number(line.substr(1, line.find('\r') - 1))) return {};
    if (!whole) return {perhaps};
    if (opening.first) return {Inference::certain};
    if (!take_line(bytes, line)) return {line.size() <= 32 ? perhaps : 0u};
    // Found half-way, it may as well be a reply: what the other end says settles it.
    if (!one_of(known_commands, in_capitals(line))) return {};
    const bool answered = !opening.answer.empty() && opening.answer.front() != '*' &&
                          is_reply_type(opening.answer.front());
    return {answered ? Inference::certain : perhaps};
  }
  if (is_reply_type(bytes.front())) {
    return {opening.first ? 0u : 10u, Party::server, false};
  }
  // Typed by a person: the answer settles it.
  const std::size_t lf = bytes.find('\n');
  const std::string_view first_line = bytes.substr(0, lf);
  const std::string word = in_capitals(first_line.substr(0, first_line.find_first_of(" \r")));
  if (lf == std::string_view::npos) {
    const bool open = std::ranges::any_of(known_commands, [&](std::string_view command) {
      return first_line.find_first_of(" \r") == std::string_view::npos ? command.starts_with(word)
                                                                       : command == word;
    });
    return {opening.first && open && bytes.size() < 4096 ? perhaps : 0u};
  }
  if (!opening.first || !one_of(known_commands, word) ||
      first_line.find(" HTTP/") != std::string_view::npos) {
    return {};
  }
  const std::string_view answer = opening.answer;
  if (answer.empty()) return {perhaps};
  if (!is_reply_type(answer.front())) return {};
  return {answer.find("\r\n") == std::string_view::npos ? perhaps : Inference::certain};
}

std::unique_ptr<Dialogue> open_redis(const Options& options, Conversation& link) {
  return std::make_unique<RedisDialogue>(options.redis, link);
}

}  // namespace trivet::tracing
