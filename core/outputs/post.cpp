// SPDX-License-Identifier: Apache-2.0
#include "outputs/post.h"

#include <curl/curl.h>

#include <array>
#include <initializer_list>

namespace trivet {
namespace {

struct EndEasy {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
struct EndMulti {
  void operator()(CURLM* handle) const { curl_multi_cleanup(handle); }
};
struct EndList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

// What a receiver answers beside its status is of no use here.
std::size_t discard(char*, std::size_t size, std::size_t count, void*) {
  return size * count;
}

curl_blob blob_of(const std::string& text) {
  return {const_cast<char*>(text.data()), text.size(), CURL_BLOB_COPY};
}

}  // namespace

struct Post::Handles {
  std::unique_ptr<CURLM, EndMulti> multi;
  std::unique_ptr<CURL, EndEasy> easy;
  std::unique_ptr<curl_slist, EndList> headers;
  std::array<char, CURL_ERROR_SIZE> error{};
};

Post::Post(std::unique_ptr<Handles> handles) : handles_(std::move(handles)) {}

Post::~Post() {
  if (running_) curl_multi_remove_handle(handles_->multi.get(), handles_->easy.get());
}

Result<std::unique_ptr<Post>> Post::create(const HttpTarget& target) {
  // Once for the process.
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  auto handles = std::make_unique<Handles>();
  handles->multi.reset(curl_multi_init());
  handles->easy.reset(curl_easy_init());
  if (ready != CURLE_OK || !handles->multi || !handles->easy)
    return Error{"cannot prepare libcurl"};
  CURL* easy = handles->easy.get();
  CURLcode result = CURLE_OK;
  const auto set = [&](CURLoption option, auto value) {
    if (result == CURLE_OK) result = curl_easy_setopt(easy, option, value);
  };
  const auto add_header = [&](const std::string& header) {
    if (curl_slist* longer = curl_slist_append(handles->headers.get(), header.c_str())) {
      (void)handles->headers.release();
      handles->headers.reset(longer);
    }
  };
  add_header("Content-Type: application/x-ndjson");
  add_header("Expect:");  // no round trip to ask whether the body is welcome
  if (!target.token.empty()) add_header("Authorization: Bearer " + target.token);
  set(CURLOPT_URL, target.url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_HTTPHEADER, handles->headers.get());
  set(CURLOPT_USERAGENT, "trivet/" TRIVET_VERSION);
  set(CURLOPT_POST, 1L);
  set(CURLOPT_TIMEOUT, static_cast<long>(target.timeout_s));
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  set(CURLOPT_WRITEFUNCTION, discard);
  set(CURLOPT_ERRORBUFFER, handles->error.data());
  // As blobs: main opens no file of root's, the broker has read them.
  const auto pem = [&](CURLoption option, const std::string& text) {
    const curl_blob blob = blob_of(text);
    if (!text.empty()) set(option, &blob);
  };
  pem(CURLOPT_CAINFO_BLOB, target.authorities);
  pem(CURLOPT_SSLCERT_BLOB, target.certificate);
  pem(CURLOPT_SSLKEY_BLOB, target.key);
  if (result != CURLE_OK)
    return Error{std::string("cannot prepare libcurl: ") + curl_easy_strerror(result)};
  return std::unique_ptr<Post>(new Post(std::move(handles)));
}

void Post::start(std::string body) {
  body_ = std::move(body);
  CURL* easy = handles_->easy.get();
  handles_->error[0] = '\0';
  curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body_.data());
  curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body_.size()));
  running_ = curl_multi_add_handle(handles_->multi.get(), easy) == CURLM_OK;
}

std::optional<Post::Outcome> Post::step(std::chrono::milliseconds patience) {
  CURLM* multi = handles_->multi.get();
  CURL* easy = handles_->easy.get();
  int left = 0;
  curl_multi_perform(multi, &left);
  if (left != 0) {
    curl_multi_poll(multi, nullptr, 0, static_cast<int>(patience.count()), nullptr);
    curl_multi_perform(multi, &left);
  }
  while (const CURLMsg* message = curl_multi_info_read(multi, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode result = message->data.result;
    Outcome outcome;
    curl_off_t retry_after = 0;
    if (result == CURLE_OK) {
      curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &outcome.status);
      curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &retry_after);
      outcome.retry_after = std::chrono::seconds(retry_after);
    } else {
      outcome.error =
          handles_->error[0] != '\0' ? handles_->error.data() : curl_easy_strerror(result);
    }
    curl_multi_remove_handle(multi, easy);
    running_ = false;
    return outcome;
  }
  return std::nullopt;
}

}  // namespace trivet
