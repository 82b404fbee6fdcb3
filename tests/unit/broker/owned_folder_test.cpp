// SPDX-License-Identifier: Apache-2.0
#include "broker/owned_folder.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

using namespace trivet;
namespace fs = std::filesystem;

namespace {

constexpr uid_t kMain = 65534;

struct Spot {
  Spot() {
    ::umask(022);
    char name[] = "/tmp/trivet-owned-XXXXXX";
    REQUIRE(::mkdtemp(name));
    path = name;
    ::chmod(name, 0755);
  }
  ~Spot() { fs::remove_all(path); }
  std::string at(const std::string& name) const { return path + "/" + name; }
  std::string path;
};

std::string refusal(const std::string& path) {
  broker::TrustedFiles folders({0}, {});
  auto opened = broker::open_owned_folder(path, kMain, kMain, folders, "records.spill");
  return opened ? "" : opened.error().message;
}

struct stat status_of(const std::string& path) {
  struct stat status {};
  REQUIRE(::lstat(path.c_str(), &status) == 0);
  return status;
}

bool is_root() {
  if (::geteuid() == 0) return true;
  MESSAGE("skipped: needs root");
  return false;
}

}  // namespace

TEST_CASE("a missing folder is made for main, in folders of root's") {
  if (!is_root()) return;
  Spot place;
  CHECK(refusal(place.at("lib/trivet/records/")) == "");
  CHECK(status_of(place.at("lib/trivet")).st_uid == 0);
  CHECK(status_of(place.at("lib/trivet")).st_mode == (S_IFDIR | 0755));
  CHECK(status_of(place.at("lib/trivet/records")).st_uid == kMain);
  CHECK(status_of(place.at("lib/trivet/records")).st_mode == (S_IFDIR | 0700));
  CHECK(refusal(place.at("lib/trivet/records")) == "");  // and found again
}

TEST_CASE("a folder that is not main's alone, or that others could exchange, is refused") {
  if (!is_root()) return;
  Spot place;
  const auto says = [&](const std::string& path, const char* part) {
    const std::string said = refusal(path);
    CAPTURE(said);
    CHECK(said.find("records.spill") != said.npos);
    CHECK(said.find(part) != said.npos);
  };
  fs::create_directory(place.at("roots"));
  says(place.at("roots"), "chown -R 65534");
  fs::create_directory(place.at("shared"));
  REQUIRE(::chown(place.at("shared").c_str(), kMain, kMain) == 0);
  ::chmod(place.at("shared").c_str(), 0775);
  says(place.at("shared"), "chmod go-w");
  fs::create_directory_symlink("/etc", place.at("link"));
  says(place.at("link"), "link");
  std::ofstream(place.at("file")) << "x";
  says(place.at("file"), "no folder");
  says(place.at("file/records"), "records.spill");
  says("var/lib/records", "absolute");
  says("/", "absolute");
  // The user of that folder could put another one in the place of records.
  fs::create_directories(place.at("theirs/records"));
  REQUIRE(::chown(place.at("theirs").c_str(), kMain, kMain) == 0);
  REQUIRE(::chown(place.at("theirs/records").c_str(), kMain, kMain) == 0);
  says(place.at("theirs/records"), "belongs to user 65534");
  CHECK(status_of("/etc").st_uid == 0);
}
