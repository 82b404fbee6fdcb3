// SPDX-License-Identifier: Apache-2.0
#include "tracing/tls.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "tracing/fifo.h"
#include "tracing/ja4.h"
#include "tracing/tls_crypto.h"

namespace trivet::tracing {
namespace {

constexpr unsigned record_change_cipher_spec = 20, record_alert = 21, record_handshake = 22,
                   record_data = 23;
constexpr unsigned client_hello = 1, server_hello = 2, certificate = 11;
constexpr unsigned extension_server_name = 0, extension_signature_algorithms = 13,
                   extension_alpn = 16, extension_versions = 43;
constexpr std::size_t record_header = 5;
constexpr std::size_t max_record = 16384 + 2048;  // RFC 5246, 6.2.3
// The largest hellos carry post-quantum keys of some KiB.
constexpr std::size_t max_hello = 64 << 10;
constexpr std::size_t max_listed = 16;
constexpr std::size_t max_name = 255;

// SHA-256 of "HelloRetryRequest" (RFC 8446, 4.1.3).
constexpr std::string_view retry_random =
    "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91"
    "\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c";

// The registry's names of suites in use; others by number.
constexpr std::array<std::pair<unsigned, std::string_view>, 15> suites = {{
    {0x1301, "TLS_AES_128_GCM_SHA256"},
    {0x1302, "TLS_AES_256_GCM_SHA384"},
    {0x1303, "TLS_CHACHA20_POLY1305_SHA256"},
    {0x002f, "TLS_RSA_WITH_AES_128_CBC_SHA"},
    {0x0035, "TLS_RSA_WITH_AES_256_CBC_SHA"},
    {0x009c, "TLS_RSA_WITH_AES_128_GCM_SHA256"},
    {0x009d, "TLS_RSA_WITH_AES_256_GCM_SHA384"},
    {0xc013, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"},
    {0xc014, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"},
    {0xc02b, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
    {0xc02c, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"},
    {0xc02f, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"},
    {0xc030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"},
    {0xcca8, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"},
    {0xcca9, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"},
}};
constexpr std::array<std::pair<unsigned, std::string_view>, 14> alerts = {{
    {0, "close_notify"},
    {10, "unexpected_message"},
    {20, "bad_record_mac"},
    {40, "handshake_failure"},
    {42, "bad_certificate"},
    {47, "illegal_parameter"},
    {48, "unknown_ca"},
    {50, "decode_error"},
    {70, "protocol_version"},
    {71, "insufficient_security"},
    {80, "internal_error"},
    {109, "missing_extension"},
    {112, "unrecognized_name"},
    {120, "no_application_protocol"},
}};

std::string hex(unsigned value) {
  std::string text = "0x";
  for (int shift = 12; shift >= 0; shift -= 4) text += "0123456789abcdef"[value >> shift & 0xf];
  return text;
}

template <std::size_t n>
std::string name_in(const std::array<std::pair<unsigned, std::string_view>, n>& names,
                    unsigned value) {
  for (const auto& [number, name] : names) {
    if (number == value) return std::string(name);
  }
  return hex(value);
}

std::string version_name(unsigned version) {
  return version > 0x0300 && version <= 0x0304 ? "1." + std::to_string(version - 0x0301)
         : version == 0x0300                   ? "SSL 3.0"
                                               : hex(version);
}

// Takes numbers and vectors (RFC 8446, 3.4) off the front of a text; what is missing reads as zero.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}
  unsigned number(unsigned size) {
    unsigned value = 0;
    for (char c : take(size)) value = value << 8 | static_cast<unsigned char>(c);
    return value;
  }
  std::string_view take(std::size_t size) {
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(taken.size());
    return taken;
  }
  Reader vector(unsigned length_bytes) { return Reader(take(number(length_bytes))); }
  bool empty() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

struct Nothing {};

class TlsDialogue final : public FifoDialogue<TlsHandshake, Nothing> {
 public:
  explicit TlsDialogue(Conversation& link) : FifoDialogue(link) {}

  void on_bytes(Party from, std::string_view bytes, const Stamp& stamp) override {
    Side& side = sides_[static_cast<unsigned>(from)];
    while (!bytes.empty() && link_.in_step(from)) {
      if (from == Party::client && !unfinished() && !outstanding()) {
        link_.request_begins(stamp);
        if (!begin_request(stamp.time_ns)) return;
      }
      const std::size_t wanted =
          side.record.size() < record_header ? record_header : record_header + side.length();
      const std::size_t taken = std::min(wanted - side.record.size(), bytes.size());
      side.record.append(bytes.substr(0, taken));
      bytes.remove_prefix(taken);
      if (side.record.size() < record_header) return;
      if (side.length() > max_record) {
        give_up("malformed");
        return;
      }
      if (side.record.size() < record_header + side.length()) continue;
      take_record(from, side, stamp);
      side.record.clear();
    }
  }
  bool skip(Party, std::uint64_t, const Stamp&) override { return false; }
  void on_lost(Party from, std::uint64_t time_ns) override {
    settle();
    FifoDialogue::on_lost(from, time_ns);
    // Hellos come once: nothing more can be learnt.
    give_up("gap");
  }
  void on_end(std::uint64_t time_ns) override {
    settle();
    FifoDialogue::on_end(time_ns);
  }
  void close(const char* error) override {
    settle();
    FifoDialogue::close(error);
  }
  void expire() override {
    settle();
    FifoDialogue::expire();
  }
  void restart(Party from) override { sides_[static_cast<unsigned>(from)] = {}; }
  std::size_t memory() const override {
    std::size_t bytes = FifoDialogue::memory();
    for (const Side& side : sides_) bytes += side.record.capacity() + side.hello.capacity();
    return bytes;
  }

 private:
  struct Side {
    std::string record;  // under way
    std::string hello;   // handshake messages may go over several records
    std::size_t length() const {
      return static_cast<std::size_t>(static_cast<unsigned char>(record[3])) << 8 |
             static_cast<unsigned char>(record[4]);
    }
  };

  void give_up(const char* error) {
    tell_all(error);
    link_.finish();
  }

  // The hellos are complete, and nothing that can be read follows them.
  void settle() {
    if (hello_ns_ == 0) return;
    end_answer(std::exchange(hello_ns_, 0));
    link_.finish();
  }

  void take_record(Party from, Side& side, const Stamp& stamp) {
    const auto type = static_cast<unsigned char>(side.record[0]);
    const std::string_view content = std::string_view(side.record).substr(record_header);
    Exchange* e = unanswered();
    if (type == record_alert && content.size() == 2 && e) {
      e->record.alert = name_in(alerts, static_cast<unsigned char>(content[1]));
      if (from == Party::client) end_request(stamp.time_ns);
      begin_answer(*e, stamp.time_ns);
      end_answer(stamp.time_ns);
      tell_all("");
      link_.finish();
      return;
    }
    // Behind the hellos: a session goes on without a certificate, or the client has taken it.
    if (hello_ns_ != 0 && (type != record_handshake || from == Party::client)) {
      settle();
      return;
    }
    // For middleboxes (RFC 8446, D.4), and early data.
    if (type == record_change_cipher_spec || (type == record_data && from == Party::client)) return;
    if (type != record_handshake || side.hello.size() + content.size() > max_hello) {
      give_up("malformed");
      return;
    }
    side.hello.append(content);
    while (side.hello.size() >= 4 && link_.in_step(from)) {
      Reader read(side.hello);
      const unsigned message = read.number(1);
      const unsigned length = read.number(3);
      if (hello_ns_ != 0 && (message != certificate || length > max_hello)) {
        settle();
        return;
      }
      const unsigned wanted = from == Party::client ? client_hello
                              : hello_ns_ != 0      ? certificate
                                                    : server_hello;
      if (length > max_hello || message != wanted || !e) {
        give_up("malformed");
        return;
      }
      if (side.hello.size() < 4 + length) return;
      take_message(from, *e, message, Reader(read.take(length)), stamp);
      // What follows in the same record is looked at for the sake of a certificate only.
      side.hello.erase(0, hello_ns_ != 0 ? 4 + length : side.hello.size());
    }
  }

  void take_message(Party from, Exchange& e, unsigned message, Reader content, const Stamp& stamp) {
    if (from == Party::client) {
      if (!e.request_done) take_client_hello(e, content);
      end_request(stamp.time_ns);
    } else if (message == server_hello) {
      begin_answer(e, stamp.time_ns);
      take_server_hello(e, content, stamp);
    } else {
      take_certificate(e, content);
      settle();
    }
  }

  void take_client_hello(Exchange& e, Reader hello) {
    TlsHandshake& r = e.record;
    HelloOffer offer;
    offer.legacy_version = hello.number(2);
    hello.take(32);
    hello.vector(1);
    for (Reader ciphers = hello.vector(2); !ciphers.empty();) {
      offer.ciphers.push_back(ciphers.number(2));
      if (!is_grease(offer.ciphers.back())) ++r.ciphers_offered;
    }
    hello.vector(1);
    for (Reader extensions = hello.vector(2); !extensions.empty();) {
      const unsigned type = extensions.number(2);
      Reader data = extensions.vector(2);
      offer.extensions.push_back(type);
      if (type == extension_server_name) {
        Reader names = data.vector(2);
        // RFC 6066, 3: a host's name is the only type there is.
        if (names.number(1) == 0) r.server_name = names.take(names.number(2)).substr(0, max_name);
      } else if (type == extension_alpn) {
        for (Reader names = data.vector(2); !names.empty() && r.alpn_offered.size() < max_listed;) {
          r.alpn_offered.emplace_back(names.take(names.number(1)));
        }
      } else if (type == extension_signature_algorithms) {
        for (Reader algorithms = data.vector(2); !algorithms.empty();) {
          offer.signature_algorithms.push_back(algorithms.number(2));
        }
      } else if (type == extension_versions) {
        for (Reader versions = data.vector(1);
             !versions.empty() && r.versions_offered.size() < max_listed;) {
          const unsigned offered = versions.number(2);
          offer.versions.push_back(offered);
          if (!is_grease(offered)) r.versions_offered.push_back(version_name(offered));
        }
      }
    }
    if (r.versions_offered.empty()) {
      r.versions_offered.push_back(version_name(offer.legacy_version));
    }
    if (!r.alpn_offered.empty()) offer.first_alpn = r.alpn_offered.front();
    r.ja4 = ja4(offer);
  }

  void take_server_hello(Exchange& e, Reader hello, const Stamp& stamp) {
    TlsHandshake& r = e.record;
    unsigned version = hello.number(2);
    if (hello.take(32) == retry_random && !r.retried) {
      r.retried = true;
      return;
    }
    hello.vector(1);
    r.cipher = name_in(suites, hello.number(2));
    hello.number(1);
    for (Reader extensions = hello.vector(2); !extensions.empty();) {
      const unsigned type = extensions.number(2);
      Reader data = extensions.vector(2);
      if (type == extension_versions) version = data.number(2);
      if (type == extension_alpn) {
        Reader names = data.vector(2);
        r.alpn = names.take(names.number(1));
      }
    }
    r.version = version_name(version);
    hello_ns_ = stamp.time_ns;
    // From 1.3 on certificates are encrypted.
    if (version >= 0x0304) settle();
  }

  void take_certificate(Exchange& e, Reader message) {
    Reader chain = message.vector(3);
    auto first = read_certificate(chain.take(chain.number(3)));
    if (!first) return;
    TlsHandshake& r = e.record;
    r.certificate_subject = std::move(first->subject);
    r.certificate_issuer = std::move(first->issuer);
    r.certificate_names = std::move(first->names);
    r.certificate_not_before = std::move(first->not_before);
    r.certificate_not_after = std::move(first->not_after);
  }

  Side sides_[2];  // by party
  std::uint64_t hello_ns_ =
      0;  // when the server's hello was complete, while a certificate may come
};

}  // namespace

Inference infer_tls(const Opening& opening) {
  constexpr unsigned perhaps = 30;
  const std::string_view bytes = opening.bytes;
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  if (at(0) != record_handshake || (bytes.size() > 1 && at(1) != 3) ||
      (bytes.size() > 2 && at(2) > 4)) {
    return {};
  }
  if (bytes.size() < 6) return {perhaps};
  const std::size_t length = static_cast<std::size_t>(at(3)) << 8 | at(4);
  if (length < 4 || length > max_record) return {};
  if (at(5) == client_hello) return {Inference::certain};
  // Its client's hello was not seen.
  return {};
}

std::unique_ptr<Dialogue> open_tls(const Options&, Conversation& link) {
  return std::make_unique<TlsDialogue>(link);
}

}  // namespace trivet::tracing
