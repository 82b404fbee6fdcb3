// SPDX-License-Identifier: Apache-2.0
#include "tracing/grpc.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace trivet::tracing {
namespace {

constexpr std::size_t max_message = 1024;
constexpr std::size_t max_encoding = 32;
constexpr std::size_t max_name = 256;

// "Status codes and their use in gRPC", in order.
constexpr std::array<std::string_view, 17> statuses = {
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

// What is no escape stays as it is.
std::string percent_decoded(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      const int high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
      if (high >= 0 && low >= 0) {
        decoded += static_cast<char>(high * 16 + low);
        i += 2;
        continue;
      }
    }
    decoded += text[i];
  }
  return decoded;
}

}  // namespace

void GrpcMessages::read(std::string_view bytes) {
  while (!bytes.empty() && !lost_) {
    if (remaining_ > 0) {
      const auto taken =
          static_cast<std::uint32_t>(std::min<std::size_t>(remaining_, bytes.size()));
      remaining_ -= taken;
      bytes.remove_prefix(taken);
      continue;
    }
    const auto byte = static_cast<std::uint8_t>(bytes.front());
    bytes.remove_prefix(1);
    if (prefix_bytes_++ == 0) {
      lost_ = byte > 1;  // no message begins so
      if (lost_) return;
      ++count_;
      compressed_ += byte;
      length_ = 0;
      continue;
    }
    length_ = length_ << 8 | byte;
    if (prefix_bytes_ < 5) continue;
    prefix_bytes_ = 0;
    remaining_ = length_;
    bytes_ += length_;
  }
}

void GrpcMessages::skip(std::uint64_t bytes) {
  if (bytes > remaining_) {
    lost_ = true;
  } else {
    remaining_ -= static_cast<std::uint32_t>(bytes);
  }
}

GrpcCall::GrpcCall(std::string_view path, const std::vector<HttpField>& fields) {
  // "/" service-name "/" method-name; the service's name may have slashes of its own.
  if (path.starts_with('/')) path.remove_prefix(1);
  const std::size_t slash = path.rfind('/');
  if (slash != std::string_view::npos) {
    record.service = path.substr(0, std::min(slash, max_name));
    path.remove_prefix(slash + 1);
  }
  record.method = path.substr(0, max_name);
  for (const auto& [name, value] : fields) {
    if (name == "grpc-encoding") record.request_compression = value.substr(0, max_encoding);
  }
}

void GrpcCall::take_response_fields(const std::vector<HttpField>& fields) {
  for (const auto& [name, value] : fields) {
    if (name == "grpc-encoding") {
      record.response_compression = value.substr(0, max_encoding);
    } else if (name == "grpc-message") {
      record.message = percent_decoded(value.substr(0, max_message));
    } else if (name == "grpc-status") {
      std::uint32_t code = 0;
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), code);
      if (error != std::errc() || end != value.data() + value.size()) continue;
      record.status_code = code;
      record.status = code < statuses.size() ? std::string(statuses[code]) : std::string(value);
    }
  }
}

void GrpcCall::finish() {
  const GrpcMessages& asked = messages[0];
  const GrpcMessages& answered = messages[1];
  record.request_message_bytes = asked.bytes();
  record.response_message_bytes = answered.bytes();
  record.compressed_messages = asked.compressed() + answered.compressed();
  if (!asked.lost()) record.request_messages = asked.count();
  if (!answered.lost()) record.response_messages = answered.count();
  const bool many_asked = asked.count() > 1, many_answered = answered.count() > 1;
  record.kind = many_asked      ? many_answered ? "bidi_streaming" : "client_streaming"
                : many_answered ? "server_streaming"
                                : "unary";
}

bool is_grpc(std::string_view content_type) {
  constexpr std::string_view type = "application/grpc";
  return same_name(content_type.substr(0, type.size()), type) &&
         (content_type.size() == type.size() || content_type[type.size()] == '+' ||
          content_type[type.size()] == ';');
}

}  // namespace trivet::tracing
