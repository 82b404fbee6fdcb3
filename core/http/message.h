// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 as bytes: requests from what a client sends, and what is sent back. With message.cpp the
// one user of Boost.Beast. Each reader belongs to one client and its thread; the functions are
// pure.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "trivet/result.h"

namespace trivet {

// Of one request. The body holds the longest statement with every byte percent-encoded.
inline constexpr std::size_t kMaxHeadBytes = 16 << 10;
inline constexpr std::size_t kMaxBodyBytes = 200 << 10;

struct RequestMessage {
  std::string method;
  std::string target;
  std::string body;
  // Header fields; empty where the client sent none.
  std::string accept;
  std::string authorization;
  std::string content_type;
  bool chunks = false;      // the client takes an answer in chunks: it speaks HTTP/1.1
  bool keep_alive = false;  // it wants to send another request
};

// Why a client does not get what it asked for.
struct Refusal {
  unsigned status;  // of HTTP
  Error error;
  std::string_view allow = {};  // for status 405: the methods that there are
};

class RequestReader {
 public:
  enum class Progress { needs_more, complete, wrong };

  RequestReader();
  ~RequestReader();

  // Takes bytes from the front of `input`, no more than belong to the current request. Once it is
  // complete, or wrong, only take() or refusal() may follow.
  Progress read(std::string& input);
  // Whether the client waits for leave to send the body: told once.
  bool take_expectation();
  // Whether a request has begun.
  bool started() const { return started_; }
  // The complete request; the next one may follow.
  RequestMessage take();
  // What is wrong. Nothing that follows can be understood.
  const Refusal& refusal() const { return *refusal_; }

 private:
  struct Parser;
  Progress refuse(unsigned status, std::string sentence);
  RequestMessage request() const;

  std::unique_ptr<Parser> parser_;
  bool started_ = false;
  bool expectation_told_ = false;
  std::optional<Refusal> refusal_;
};

struct AnswerHead {
  unsigned status = 200;
  std::string_view content_type = "application/json";
  std::optional<std::size_t> length;  // none: in chunks, or to the end of the connection
  bool chunks = false;
  bool keep_alive = false;
  std::vector<std::pair<std::string_view, std::string>> fields;  // further ones
};
std::string write_head(const AnswerHead& head);
// Part of a body in chunks; the empty one is the last.
std::string write_chunk(std::string_view part);
inline constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

}  // namespace trivet
