// SPDX-License-Identifier: Apache-2.0
#include "broker/deeds.h"

#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <string_view>

#include "broker/unique_fd.h"

namespace trivet::broker {
namespace {

struct Loopback {
  sockaddr_storage address{};
  socklen_t size = 0;

  explicit Loopback(int family) {
    if (family == AF_INET6) {
      auto& v6 = reinterpret_cast<sockaddr_in6&>(address);
      v6.sin6_addr = in6addr_loopback;
      size = sizeof(v6);
    } else {
      auto& v4 = reinterpret_cast<sockaddr_in&>(address);
      v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      size = sizeof(v4);
    }
    address.ss_family = static_cast<sa_family_t>(family);
  }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&address); }
};

UniqueFd open_socket(int family, int type) {
  return UniqueFd(::socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

// A thread that ends at once: forks and exits of processes would be told to everybody.
bool begin_and_end_a_thread() {
  pthread_t thread;
  if (::pthread_create(
          &thread, nullptr, [](void*) -> void* { return nullptr; }, nullptr) != 0) {
    return false;
  }
  return ::pthread_join(thread, nullptr) == 0;
}

bool call_the_kernel() {
  return ::syscall(SYS_getppid) >= 0;
}

bool open_and_close_a_socket() {
  return static_cast<bool>(open_socket(AF_INET, SOCK_DGRAM));
}

template <int family>
bool listen_and_stop() {
  Loopback here(family);
  UniqueFd socket = open_socket(family, SOCK_STREAM);
  return socket && ::bind(socket.get(), here.get(), here.size) == 0 &&
         ::listen(socket.get(), 1) == 0;
}

// Refused by the kernel, as it is said to nobody, but not before the hooks have seen it.
template <int family, int type>
bool send_and_receive_in_vain() {
  UniqueFd socket = open_socket(family, type);
  if (!socket) return false;
  char byte = 0;
  (void)::send(socket.get(), &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
  (void)::recv(socket.get(), &byte, 1, MSG_DONTWAIT);
  return true;
}

template <int family, bool connected>
bool send_to_itself() {
  Loopback here(family);
  UniqueFd socket = open_socket(family, SOCK_DGRAM);
  if (!socket || ::bind(socket.get(), here.get(), here.size) != 0 ||
      ::getsockname(socket.get(), here.get(), &here.size) != 0) {
    return false;
  }
  char byte = 0;
  if (connected) {
    return ::connect(socket.get(), here.get(), here.size) == 0 &&
           ::send(socket.get(), &byte, 1, MSG_DONTWAIT) == 1 &&
           ::recv(socket.get(), &byte, 1, MSG_DONTWAIT) == 1;
  }
  return ::sendto(socket.get(), &byte, 1, MSG_DONTWAIT, here.get(), here.size) == 1;
}

bool talk_to_itself() {
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) return false;
  const UniqueFd one(pair[0]);
  const UniqueFd other(pair[1]);
  char byte = 0;
  return ::send(one.get(), &byte, 1, MSG_NOSIGNAL) == 1 && ::recv(other.get(), &byte, 1, 0) == 1;
}

constexpr auto send_udp4 = send_and_receive_in_vain<AF_INET, SOCK_DGRAM>;
constexpr auto send_udp6 = send_and_receive_in_vain<AF_INET6, SOCK_DGRAM>;
constexpr auto send_tcp4 = send_and_receive_in_vain<AF_INET, SOCK_STREAM>;
constexpr auto listen4 = listen_and_stop<AF_INET>;
constexpr auto connected4 = send_to_itself<AF_INET, true>;

struct Deed {
  std::string_view place;
  bool (*act)();
  Reach reach = Reach::quiet;
};

constexpr Deed deeds[] = {
    {"tp_btf/sched_process_fork", begin_and_end_a_thread},
    {"tp_btf/sched_process_exit", begin_and_end_a_thread},
    {"tp_btf/sys_enter", call_the_kernel},
    {"tp_btf/sys_exit", call_the_kernel},
    {"tp_btf/inet_sock_set_state", listen4},
    {"cgroup/post_bind4", listen4},
    {"cgroup/post_bind6", listen_and_stop<AF_INET6>},
    {"tp_btf/sock_send_length", send_udp4},
    {"tp_btf/sock_recv_length", send_udp4},
    {"fentry/inet_sendmsg", send_udp4},
    {"fentry/inet_recvmsg", send_udp4},
    {"fentry/inet6_sendmsg", send_udp6},
    {"fentry/inet6_recvmsg", send_udp6},
    {"fexit/tcp_sendmsg", send_tcp4},
    {"fexit/tcp_recvmsg", send_tcp4},
    {"fexit/unix_stream_sendmsg", talk_to_itself},
    {"fexit/unix_stream_recvmsg", talk_to_itself},
    {"cgroup/sock_create", open_and_close_a_socket},
    {"cgroup/sock_release", open_and_close_a_socket},
    {"cgroup/connect4", connected4, Reach::packets},
    {"cgroup/connect6", send_to_itself<AF_INET6, true>, Reach::packets},
    {"cgroup/sendmsg4", send_to_itself<AF_INET, false>, Reach::packets},
    {"cgroup/sendmsg6", send_to_itself<AF_INET6, false>, Reach::packets},
    {"cgroup_skb/egress", connected4, Reach::packets},
    {"cgroup_skb/ingress", connected4, Reach::packets},
};

// System calls that fail at once, and harmlessly, with nothing but ones for arguments: no such
// descriptor, no such address.
struct VainCall {
  std::string_view name;
  long number;
};
constexpr VainCall vain_calls[] = {
    {"open", SYS_open},       {"openat", SYS_openat},   {"openat2", SYS_openat2},
    {"connect", SYS_connect}, {"bind", SYS_bind},       {"listen", SYS_listen},
    {"accept", SYS_accept},   {"accept4", SYS_accept4}, {"sendto", SYS_sendto},
    {"dup", SYS_dup},         {"dup2", SYS_dup2},       {"dup3", SYS_dup3},
    {"unlink", SYS_unlink},   {"rename", SYS_rename},   {"mkdir", SYS_mkdir},
};

bool call_in_vain(std::string_view place) {
  for (std::string_view side : {"syscalls/sys_exit_", "syscalls/sys_enter_"}) {
    if (!place.starts_with(side)) continue;
    const auto found = std::ranges::find(vain_calls, place.substr(side.size()), &VainCall::name);
    if (found == std::end(vain_calls)) return false;
    (void)::syscall(found->number, -1L, -1L, -1L, -1L, -1L, -1L);
    return true;
  }
  return false;
}

}  // namespace

Places perform_deeds(const Places& wanted, Reach reach) {
  Places fired;
  std::map<bool (*)(), bool> done;
  for (const Deed& deed : deeds) {
    if (!wanted.contains(deed.place) || (deed.reach == Reach::packets && reach == Reach::quiet)) {
      continue;
    }
    auto [entry, first] = done.try_emplace(deed.act, false);
    if (first) entry->second = deed.act();
    if (entry->second) fired.emplace(deed.place);
  }
  for (const std::string& place : wanted) {
    if (call_in_vain(place)) fired.insert(place);
  }
  return fired;
}

}  // namespace trivet::broker
