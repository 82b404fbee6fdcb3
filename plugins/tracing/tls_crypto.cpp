// SPDX-License-Identifier: Apache-2.0
#include "tracing/tls_crypto.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <memory>

#include "trivet/value.h"

namespace trivet::tracing {
namespace {

constexpr std::size_t max_text = 1024;
constexpr std::size_t max_names = 16;

template <auto release>
struct Releases {
  void operator()(auto* object) const { release(object); }
};
using X509Ref = std::unique_ptr<X509, Releases<X509_free>>;
using BioRef = std::unique_ptr<BIO, Releases<BIO_free>>;
using NamesRef = std::unique_ptr<GENERAL_NAMES, Releases<GENERAL_NAMES_free>>;

// This process opens no files of its own accord, and a plugin may be gone before the process ends.
void prepare() {
  static const int done =
      OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT, nullptr);
  static_cast<void>(done);
}

std::string name_text(const X509_NAME* name) {
  const BioRef out(BIO_new(BIO_s_mem()));
  if (!out || !name ||
      X509_NAME_print_ex(out.get(), name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) < 0) {
    return {};
  }
  const char* bytes = nullptr;
  const long size = BIO_get_mem_data(out.get(), &bytes);
  return {bytes, std::min(static_cast<std::size_t>(std::max(size, 0L)), max_text)};
}

std::string time_text(const ASN1_TIME* time) {
  std::tm parts{};
  if (!time || ASN1_TIME_to_tm(time, &parts) != 1) return {};
  std::array<char, 32> text{};
  const std::size_t size = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return {text.data(), size};
}

std::string_view bytes_of(const ASN1_STRING* text) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<std::size_t>(std::max(ASN1_STRING_length(text), 0))};
}

std::string address_text(std::string_view bytes) {
  std::uint8_t address[16] = {};
  if (bytes.size() == 4) {
    address[10] = address[11] = 0xff;
    std::ranges::copy(bytes, address + 12);
  } else if (bytes.size() == 16) {
    std::ranges::copy(bytes, address);
  } else {
    return {};
  }
  return IpAddress::v6(address).to_string();
}

std::vector<std::string> alternative_names(const X509* certificate) {
  std::vector<std::string> found;
  const NamesRef names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  if (!names) return found;
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()) && found.size() < max_names; ++i) {
    int type = 0;
    const void* value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names.get(), i), &type);
    if (type == GEN_DNS || type == GEN_EMAIL || type == GEN_URI) {
      found.emplace_back(bytes_of(static_cast<const ASN1_STRING*>(value)).substr(0, max_text));
    } else if (type == GEN_IPADD) {
      found.push_back(address_text(bytes_of(static_cast<const ASN1_STRING*>(value))));
    }
  }
  return found;
}

}  // namespace

std::string sha256_hex(std::string_view bytes) {
  prepare();
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest.data());
  std::string text;
  for (unsigned char byte : digest) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

std::optional<Certificate> read_certificate(std::string_view der) {
  prepare();
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const X509Ref x509(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  std::optional<Certificate> result;
  if (x509) {
    result = Certificate{.subject = name_text(X509_get_subject_name(x509.get())),
                         .issuer = name_text(X509_get_issuer_name(x509.get())),
                         .names = alternative_names(x509.get()),
                         .not_before = time_text(X509_get0_notBefore(x509.get())),
                         .not_after = time_text(X509_get0_notAfter(x509.get()))};
  }
  ERR_clear_error();
  return result;
}

}  // namespace trivet::tracing
