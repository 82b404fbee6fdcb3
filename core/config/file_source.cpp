// SPDX-License-Identifier: Apache-2.0
#include "config/file_source.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

namespace trivet {

Result<std::vector<std::string>> PlainFiles::expand(const std::string& path) {
  struct stat status;
  if (stat(path.c_str(), &status) != 0) return system_error(errno, "cannot read " + path);
  if (!S_ISDIR(status.st_mode)) return std::vector<std::string>{path};

  std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir(path.c_str()), closedir);
  if (!folder) return system_error(errno, "cannot list the folder " + path);
  std::vector<std::string> files;
  while (const dirent* entry = readdir(folder.get())) {
    if (entry->d_name[0] == '.') continue;
    std::string file = path + (path.ends_with('/') ? "" : "/") + entry->d_name;
    if (stat(file.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) continue;
    files.push_back(std::move(file));
    if (files.size() > kMaxFolderFiles) {
      return Error{path + " holds more than " + std::to_string(kMaxFolderFiles) +
                   " files: name a folder with fewer"};
    }
  }
  std::ranges::sort(files);
  return files;
}

Result<TextFile> PlainFiles::read(const std::string& path) {
  // Without O_NONBLOCK the open of a FIFO would wait for a writer.
  int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return system_error(errno, "cannot read " + path);
  auto file = read_text(descriptor, path);
  close(descriptor);
  return file;
}

Result<TextFile> read_text(int descriptor, const std::string& path) {
  struct stat status;
  if (fstat(descriptor, &status) != 0) return system_error(errno, "cannot read " + path);
  if (!S_ISREG(status.st_mode)) return Error{"cannot read " + path + ": it is not a regular file"};
  TextFile file{path, {}, (status.st_mode & S_IROTH) != 0};
  char buffer[64 << 10];
  for (;;) {
    ssize_t got = ::read(descriptor, buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error(errno, "cannot read " + path);
    if (got == 0) return file;
    file.text.append(buffer, static_cast<std::size_t>(got));
    if (file.text.size() > kMaxConfigFileBytes) {
      return Error{path + " is larger than " + std::to_string(kMaxConfigFileBytes >> 20) +
                   " MiB: split it"};
    }
  }
}

}  // namespace trivet
