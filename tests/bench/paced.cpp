// SPDX-License-Identifier: Apache-2.0
// Requests at a steady rate, or as fast as the answers come, each with its own number, which the
// answer must carry back. A latency counts from when the request was due, so a server that stalls
// is charged for all that waited meanwhile. One line of JSON says how it went.
//   paced http|redis|postgresql PORT RATE SECONDS CONNECTIONS DEPTH
// RATE 0: as fast as possible. DEPTH: requests under way on one connection.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

constexpr unsigned kRedisKeys = 10'000;

struct Answer {
  std::size_t bytes;
  bool right;  // it is that request's
};

struct Protocol {
  std::string_view name;
  std::string (*greeting)();  // sent first; its answer is waited for. Empty: none
  std::string (*request)(std::uint64_t number);
  // The answer at the front of `input`; none if it is not all there.
  std::optional<Answer> (*answer)(std::string_view input, std::uint64_t number);
};

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

std::string no_greeting() {
  return {};
}

// RFC 9112. The server says the path again in X-Request.
std::string http_request(std::uint64_t number) {
  return "GET /1k/" + std::to_string(number) + " HTTP/1.1\r\nHost: bench\r\n\r\n";
}

std::optional<Answer> http_answer(std::string_view input, std::uint64_t number) {
  const auto end = input.find("\r\n\r\n");
  if (end == input.npos) return std::nullopt;
  constexpr std::string_view kLength = "\r\nContent-Length: ";
  const auto length = input.find(kLength);
  if (length >= end) fail("an answer without Content-Length");
  std::size_t body = 0;
  std::from_chars(input.data() + length + kLength.size(), input.data() + end, body);
  const std::size_t whole = end + 4 + body;
  if (input.size() < whole) return std::nullopt;
  const std::string mark = "\r\nX-Request: /1k/" + std::to_string(number) + "\r\n";
  return Answer{whole, input.starts_with("HTTP/1.1 200 ") && input.find(mark) < end};
}

// RESP2. The value of key N begins with N and a colon.
std::string redis_request(std::uint64_t number) {
  const std::string key = std::to_string(number % kRedisKeys);
  return "*2\r\n$3\r\nGET\r\n$" + std::to_string(key.size()) + "\r\n" + key + "\r\n";
}

std::optional<Answer> redis_answer(std::string_view input, std::uint64_t number) {
  const auto end = input.find("\r\n");
  if (end == input.npos) return std::nullopt;
  if (input[0] != '$') fail("Redis answers with something else than a text");
  std::size_t value = 0;
  std::from_chars(input.data() + 1, input.data() + end, value);
  const std::size_t whole = end + 2 + value + 2;
  if (input.size() < whole) return std::nullopt;
  const std::string mark = std::to_string(number % kRedisKeys) + ":";
  return Answer{whole, input.substr(end + 2).starts_with(mark)};
}

// PostgreSQL's protocol 3.0 (its documentation, "Frontend/Backend Protocol").
std::string big_endian(std::uint32_t number) {
  number = htonl(number);
  return {reinterpret_cast<const char*>(&number), sizeof(number)};
}

std::string postgresql_greeting() {
  using namespace std::string_literals;
  const std::string settings = "user\0postgres\0database\0postgres\0\0"s;
  return big_endian(static_cast<std::uint32_t>(settings.size() + 8)) + big_endian(196608) +
         settings;
}

std::string postgresql_request(std::uint64_t number) {
  const std::string statement = "select " + std::to_string(number) + " from generate_series(1," +
                                std::to_string(number % 7) + ")";
  return "Q" + big_endian(static_cast<std::uint32_t>(statement.size() + 5)) + statement + '\0';
}

std::optional<Answer> postgresql_answer(std::string_view input, std::uint64_t number) {
  const std::string text = std::to_string(number);
  std::uint64_t rows = 0;
  bool right = true;
  for (std::size_t at = 0; input.size() - at >= 5;) {
    std::uint32_t length = 0;
    std::memcpy(&length, input.data() + at + 1, sizeof(length));
    const std::size_t whole = 1 + ntohl(length);
    if (input.size() - at < whole) return std::nullopt;
    const auto message = input.substr(at, whole);
    at += whole;
    if (message[0] == 'E') fail("PostgreSQL answers with an error");
    if (message[0] == 'D') {
      ++rows;
      right = right && message.ends_with(text);
    }
    if (message[0] == 'Z') return Answer{at, right && rows == number % 7};
  }
  return std::nullopt;
}

constexpr Protocol kProtocols[] = {
    {"http", no_greeting, http_request, http_answer},
    {"redis", no_greeting, redis_request, redis_answer},
    {"postgresql", postgresql_greeting, postgresql_request, postgresql_answer},
};

struct Request {
  std::uint64_t number;
  Clock::time_point due;
};

// One connection with what is under way on it.
class Connection {
 public:
  Connection(const Protocol& protocol, std::uint16_t port) : protocol_(protocol) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socket_ = ::socket(AF_INET, SOCK_STREAM, 0);
    const int on = 1;
    if (socket_ < 0 || ::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) ||
        ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0)
      fail("cannot connect");
    if (const std::string greeting = protocol.greeting(); !greeting.empty()) {
      send(greeting);
      while (!protocol.answer(input_, 0)) receive();
      input_.clear();
    }
  }
  ~Connection() { ::close(socket_); }
  Connection(const Connection&) = delete;

  int socket() const { return socket_; }
  std::size_t under_way() const { return requests_.size(); }

  void ask(const Request& request) {
    send(protocol_.request(request.number));
    requests_.push_back(request);
  }

  // Takes what has come; calls done(request, right) for each answer.
  template <class Done>
  void take(Done done) {
    receive();
    std::size_t at = 0;
    while (!requests_.empty()) {
      const auto answer =
          protocol_.answer(std::string_view(input_).substr(at), requests_.front().number);
      if (!answer) break;
      done(requests_.front(), answer->right);
      requests_.pop_front();
      at += answer->bytes;
    }
    input_.erase(0, at);
  }

 private:
  void send(std::string_view bytes) {
    if (::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(bytes.size()))
      fail("cannot send");
  }
  void receive() {
    char bytes[64 << 10];
    const ssize_t count = ::recv(socket_, bytes, sizeof(bytes), 0);
    if (count <= 0) fail("the server has closed");
    input_.append(bytes, static_cast<std::size_t>(count));
  }

  const Protocol& protocol_;
  int socket_ = -1;
  std::string input_;
  std::deque<Request> requests_;
};

class Run {
 public:
  Run(const Protocol& protocol, std::uint16_t port, double rate, double seconds, std::size_t count,
      std::size_t depth)
      : rate_(rate), depth_(depth), epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    for (std::size_t i = 0; i < count; ++i) {
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.ptr = &connections_.emplace_back(protocol, port);
      ::epoll_ctl(epoll_, EPOLL_CTL_ADD, connections_.back().socket(), &event);
    }
    start_ = Clock::now();
    end_ = start_ +
           std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  }
  ~Run() { ::close(epoll_); }
  Run(const Run&) = delete;

  void run() {
    do {
      send_what_is_due();
      wait();
    } while (under_way_ > 0 || Clock::now() < end_);
    report();
  }

 private:
  Clock::time_point due(std::uint64_t number) const {
    if (rate_ == 0) return Clock::now();
    return start_ + std::chrono::duration_cast<Clock::duration>(
                        std::chrono::duration<double>(static_cast<double>(number) / rate_));
  }

  void send_what_is_due() {
    const auto now = Clock::now();
    for (std::size_t looked = 0; looked < connections_.size() && now < end_;) {
      const auto at = due(sent_);
      if (at > now && rate_ != 0) return;
      Connection& next = connections_[turn_++ % connections_.size()];
      if (next.under_way() >= depth_) {
        ++looked;
        continue;
      }
      next.ask({sent_++, at});
      ++under_way_;
      looked = 0;
    }
  }

  void wait() {
    const auto until = std::min(end_, rate_ == 0 ? end_ : due(sent_));
    const auto left = std::max(Clock::duration(0), until - Clock::now());
    const auto whole = std::chrono::duration_cast<std::chrono::seconds>(left);
    // Where every connection is busy, or none may be asked any more, only an answer helps.
    const bool answers_only = under_way_ == depth_ * connections_.size() || Clock::now() >= end_;
    const timespec timeout{
        whole.count(), std::chrono::duration_cast<std::chrono::nanoseconds>(left - whole).count()};
    epoll_event events[64];
    const int count =
        ::epoll_pwait2(epoll_, events, 64, answers_only ? nullptr : &timeout, nullptr);
    for (int i = 0; i < count; ++i)
      static_cast<Connection*>(events[i].data.ptr)->take([&](const Request& request, bool right) {
        const std::chrono::duration<double, std::micro> took = Clock::now() - request.due;
        latencies_us_.push_back(took.count());
        wrong_ += !right;
        --under_way_;
      });
  }

  double percentile(double part) {
    if (latencies_us_.empty()) return 0;
    const auto at =
        static_cast<std::ptrdiff_t>(part * static_cast<double>(latencies_us_.size() - 1));
    std::ranges::nth_element(latencies_us_, latencies_us_.begin() + at);
    return latencies_us_[static_cast<std::size_t>(at)];
  }

  void report() {
    const std::chrono::duration<double> took = Clock::now() - start_;
    std::printf(
        "{\"requests\": %zu, \"wrong\": %llu, \"per_second\": %.0f, \"p50_us\": %.0f, \"p99_us\": "
        "%.0f, \"p999_us\": %.0f}\n",
        latencies_us_.size(), static_cast<unsigned long long>(wrong_),
        static_cast<double>(latencies_us_.size()) / took.count(), percentile(0.5), percentile(0.99),
        percentile(0.999));
  }

  const double rate_;
  const std::size_t depth_;
  int epoll_;
  std::deque<Connection> connections_;
  Clock::time_point start_, end_;
  std::uint64_t sent_ = 0, wrong_ = 0;
  std::size_t under_way_ = 0, turn_ = 0;
  std::vector<double> latencies_us_;
};

}  // namespace

int main(int argc, char** argv) {
  const Protocol* protocol = nullptr;
  for (const auto& one : kProtocols)
    if (argc == 7 && one.name == argv[1]) protocol = &one;
  if (!protocol) {
    std::fputs("paced http|redis|postgresql PORT RATE SECONDS CONNECTIONS DEPTH\n", stderr);
    return 2;
  }
  Run(*protocol, static_cast<std::uint16_t>(std::atoi(argv[2])), std::atof(argv[3]),
      std::atof(argv[4]), std::strtoul(argv[5], nullptr, 10), std::strtoul(argv[6], nullptr, 10))
      .run();
  return 0;
}
