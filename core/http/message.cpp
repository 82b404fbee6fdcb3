// SPDX-License-Identifier: Apache-2.0
#include "http/message.h"

#include <time.h>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/beast/http/string_body.hpp>
#include <charconv>
#include <exception>

namespace trivet {
namespace {

namespace http = boost::beast::http;

template <class Text>
std::string text_of(const Text& text) {
  return {text.data(), text.size()};
}

// RFC 9110, 5.6.7.
std::string http_date() {
  const std::time_t now = time(nullptr);
  tm parts{};
  gmtime_r(&now, &parts);
  char text[64];
  return {text, std::strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &parts)};
}

}  // namespace

struct RequestReader::Parser {
  http::request_parser<http::string_body> request;

  Parser() {
    request.header_limit(kMaxHeadBytes);
    request.body_limit(kMaxBodyBytes);
    request.eager(true);
  }
  std::string field(http::field name) const { return text_of(request.get()[name]); }
};

RequestReader::RequestReader() : parser_(std::make_unique<Parser>()) {}

RequestReader::~RequestReader() = default;

RequestReader::Progress RequestReader::refuse(unsigned status, std::string sentence) {
  refusal_ = Refusal{status, Error{std::move(sentence)}};
  return Progress::wrong;
}

RequestReader::Progress RequestReader::read(std::string& input) {
  auto& request = parser_->request;
  try {
    while (!input.empty() && !request.is_done()) {
      started_ = true;
      boost::system::error_code error;
      const std::size_t used = request.put(boost::asio::buffer(input), error);
      input.erase(0, used);
      if (error == http::error::need_more) return Progress::needs_more;
      if (error == http::error::header_limit) {
        return refuse(431, "the head of the request is longer than " +
                               std::to_string(kMaxHeadBytes) +
                               " bytes: send a long statement in the body, with POST");
      }
      if (error == http::error::body_limit) {
        return refuse(413, "the body of the request is longer than " +
                               std::to_string(kMaxBodyBytes) + " bytes: send a shorter one");
      }
      if (error == http::error::bad_version) {
        return refuse(505, "this is not HTTP/1.1 or HTTP/1.0: send a request of that version");
      }
      if (error) return refuse(400, "the request is no HTTP: " + error.message());
      if (used == 0) return Progress::needs_more;
    }
  } catch (const std::exception& error) {
    return refuse(400, std::string("the request cannot be read: ") + error.what());
  }
  if (!request.is_done()) return Progress::needs_more;
  // RFC 9112, 3.2.
  if (request.get().version() == 11 && request.get().count(http::field::host) != 1) {
    return refuse(400, "a request of HTTP/1.1 has one field Host: send it");
  }
  return Progress::complete;
}

bool RequestReader::take_expectation() {
  const auto& request = parser_->request;
  if (expectation_told_ || !request.is_header_done() || request.is_done()) return false;
  expectation_told_ = true;
  return boost::beast::iequals(request.get()[http::field::expect], "100-continue");
}

RequestMessage RequestReader::take() {
  RequestMessage request = this->request();
  parser_ = std::make_unique<Parser>();
  started_ = expectation_told_ = false;
  return request;
}

RequestMessage RequestReader::request() const {
  const auto& parsed = parser_->request.get();
  RequestMessage request;
  request.method = text_of(parsed.method_string());
  request.target = text_of(parsed.target());
  request.body = parsed.body();
  request.accept = parser_->field(http::field::accept);
  request.authorization = parser_->field(http::field::authorization);
  request.content_type = parser_->field(http::field::content_type);
  request.chunks = parsed.version() == 11;
  request.keep_alive = parsed.keep_alive();
  return request;
}

std::string write_head(const AnswerHead& head) {
  std::string out = "HTTP/1.1 " + std::to_string(head.status) + ' ';
  out += text_of(http::obsolete_reason(http::int_to_status(head.status)));
  out += "\r\nDate: " + http_date();
  out += "\r\nContent-Type: ";
  out += head.content_type;
  if (head.length) {
    out += "\r\nContent-Length: " + std::to_string(*head.length);
  } else if (head.chunks) {
    out += "\r\nTransfer-Encoding: chunked";
  }
  out += "\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: ";
  out += head.keep_alive ? "keep-alive" : "close";
  for (const auto& [name, value] : head.fields) {
    out += "\r\n";
    out += name;
    out += ": " + value;
  }
  return out + "\r\n\r\n";
}

std::string write_chunk(std::string_view part) {
  char size[16];
  std::string out(size, std::to_chars(size, std::end(size), part.size(), 16).ptr);
  out += "\r\n";
  out += part;
  return out + "\r\n";
}

}  // namespace trivet
