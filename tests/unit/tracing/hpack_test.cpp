// SPDX-License-Identifier: Apache-2.0
// Blocks from RFC 7541, appendix C, and from libnghttp2's encoder.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "tracing/hpack.h"
#include "tracing/http2_wire.h"

namespace trivet::tracing {
namespace {

std::string hex(std::string_view text) {
  std::string bytes;
  unsigned digits = 0, value = 0;
  for (char c : text) {
    if (c == ' ') continue;
    value = value * 16 + static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10);
    if (++digits % 2 == 0) bytes += static_cast<char>(value), value = 0;
  }
  return bytes;
}

TextFields read(HpackDecoder& decoder, std::string_view block) {
  TextFields read;
  CHECK(decoder.decode(block));
  for (const auto& [name, value] : decoder.fields()) read.emplace_back(name, value);
  return read;
}

}  // namespace

TEST_CASE("the fields of RFC 7541, C.2 are read in every representation") {
  HpackDecoder decoder;
  CHECK(read(decoder, hex("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572")) ==
        TextFields{{"custom-key", "custom-header"}});
  CHECK(read(decoder, hex("040c 2f73 616d 706c 652f 7061 7468")) ==
        TextFields{{":path", "/sample/path"}});
  CHECK(read(decoder, hex("1008 7061 7373 776f 7264 0673 6563 7265 74")) ==
        TextFields{{"password", "secret"}});
  CHECK(read(decoder, hex("82")) == TextFields{{":method", "GET"}});
  // The first of them is in the table, the next two are not.
  CHECK(read(decoder, hex("be")) == TextFields{{"custom-key", "custom-header"}});
  CHECK(decoder.decode(hex("bf")));
  CHECK(decoder.unknown() == 1);
}

TEST_CASE("the requests of RFC 7541, C.3 and C.4 share a table") {
  const TextFields first = {
      {":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {":authority", "www.example.com"}};
  TextFields second = first;
  second.emplace_back("cache-control", "no-cache");
  const TextFields third = {{":method", "GET"},
                            {":scheme", "https"},
                            {":path", "/index.html"},
                            {":authority", "www.example.com"},
                            {"custom-key", "custom-value"}};
  HpackDecoder plain;
  CHECK(read(plain, hex("8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d")) == first);
  CHECK(read(plain, hex("8286 84be 5808 6e6f 2d63 6163 6865")) == second);
  CHECK(read(plain, hex("8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 "
                        "65")) == third);
  HpackDecoder coded;
  CHECK(read(coded, hex("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff")) == first);
  CHECK(read(coded, hex("8286 84be 5886 a8eb 1064 9cbf")) == second);
  CHECK(read(coded, hex("8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf")) == third);
}

TEST_CASE("the responses of RFC 7541, C.6 push entries out of a table of 256 bytes") {
  const std::string location = "https://www.example.com";
  HpackDecoder decoder;
  // SETTINGS_HEADER_TABLE_SIZE comes with the block that makes use of it (RFC 7541, 4.2).
  REQUIRE(decoder.decode(hex("3fe1 01")));
  CHECK(read(decoder, hex("4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 "
                          "66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3")) ==
        TextFields{{":status", "302"},
                   {"cache-control", "private"},
                   {"date", "Mon, 21 Oct 2013 20:13:21 GMT"},
                   {"location", location}});
  CHECK(read(decoder, hex("4883 640e ffc1 c0bf")) ==
        TextFields{{":status", "307"},
                   {"cache-control", "private"},
                   {"date", "Mon, 21 Oct 2013 20:13:21 GMT"},
                   {"location", location}});
  CHECK(read(decoder, hex("88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a "
                          "839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 "
                          "72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07")) ==
        TextFields{{":status", "200"},
                   {"cache-control", "private"},
                   {"date", "Mon, 21 Oct 2013 20:13:22 GMT"},
                   {"location", location},
                   {"content-encoding", "gzip"},
                   {"set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"}});
}

TEST_CASE("what libnghttp2 encodes is read back, whatever the bytes and the size of the table") {
  std::mt19937 random(7541);
  Encoder encoder(1 << 16);
  HpackDecoder decoder;
  decoder.begin();
  for (unsigned round = 0; round < 3000; ++round) {
    if (random() % 50 == 0) encoder.resize(random() % 3 == 0 ? 0 : random() % (1 << 16));
    TextFields fields;
    for (unsigned n = random() % 12; n > 0; --n) {
      std::string value;
      for (unsigned length = random() % 40; length > 0; --length) {
        value += static_cast<char>(random() % 4 == 0 ? random() : 'a' + random() % 26);
      }
      if (random() % 3 != 0) value = "value-" + std::to_string(random() % 40);
      fields.emplace_back("name-" + std::to_string(random() % 30), std::move(value));
    }
    CAPTURE(round);
    REQUIRE(read(decoder, encoder.block(fields)) == fields);
    REQUIRE(decoder.unknown() == 0);
  }
}

TEST_CASE("a decoder that missed blocks leaves fields out, and never says a wrong one") {
  std::mt19937 random(1);
  std::size_t known = 0, unknown = 0;
  for (unsigned connection = 0; connection < 200; ++connection) {
    Encoder encoder;
    HpackDecoder decoder;
    for (unsigned round = 0; round < 60; ++round) {
      TextFields fields;
      for (unsigned n = 1 + random() % 8; n > 0; --n) {
        fields.emplace_back("name-" + std::to_string(random() % 20),
                            "value-" + std::to_string(random() % 20));
      }
      const std::string block = encoder.block(fields);
      if (round == 0 || random() % 20 == 0) {
        decoder.forget();  // this one was missed
        continue;
      }
      const TextFields got = read(decoder, block);
      REQUIRE(got.size() + decoder.unknown() == fields.size());
      auto next = fields.begin();
      for (const auto& field : got) {
        next = std::find(next, fields.end(), field);
        REQUIRE(next != fields.end());
        ++next;
      }
      known += got.size();
      unknown += decoder.unknown();
    }
  }
  CHECK(known > 1000);
  CHECK(unknown > 1000);
}

TEST_CASE("an entry whose name is not known keeps its place") {
  HpackDecoder decoder;
  // A literal that is added under the name of an entry that was not seen, then one with a name.
  CHECK(decoder.decode(hex("7e01 61") + hex("4001 6201 63")));
  CHECK(decoder.unknown() == 1);
  CHECK(read(decoder, hex("be")) == TextFields{{"b", "c"}});
  CHECK(decoder.decode(hex("bf")));
  CHECK(decoder.unknown() == 1);
}

TEST_CASE("malformed blocks are refused, and what came before them is kept") {
  const char* const table[] = {
      "80",                          // index 0
      "8286 41",                     // no value
      "4003 6162",                   // cut off within a name
      "7fff ffff ffff ff01",         // an integer beyond 32 bits
      "ff ff ff ff ff ff ff ff 01",  // the same of an index
      "0001 6183 ffff ff",           // padding of 24 bits
      "0001 6184 ffff ffff",         // the end of the string within it
      "0001 6181 00",                // padding that is none of the end's code
  };
  for (const char* text : table) {
    CAPTURE(text);
    HpackDecoder decoder;
    CHECK(!decoder.decode(hex(text)));
    CHECK(decoder.fields().size() <= 2);
    CHECK(read(decoder, hex("82")) == TextFields{{":method", "GET"}});
  }
}

TEST_CASE("a small block that stands for megabytes costs what is kept of one") {
  HpackDecoder decoder;
  REQUIRE(decoder.decode(hex("3fe1 ff03")));  // the largest table there is
  const std::string value(30000, 'v');
  std::string bomb = hex("4001 61") + hex("7fb1 e901") + value;
  for (unsigned i = 0; i < 20000; ++i) bomb += '\xbe';
  REQUIRE(decoder.decode(bomb));
  CHECK(decoder.fields().size() == 2);
  CHECK(decoder.unknown() == 19999);
  CHECK(decoder.memory() < 256 << 10);
}

}  // namespace trivet::tracing
