// A log to try the example with, all of its addresses from the ranges that are kept for documentation.
#pragma once

#include <string_view>

namespace auth {

inline constexpr std::string_view sample_log = R"(Dec 31 23:58:01 gate sshd[2101]: Invalid user guest from 192.0.2.7
Dec 31 23:58:01 gate sshd[2101]: input_userauth_request: invalid user guest [preauth]
Dec 31 23:58:01 gate sshd[2101]: pam_unix(sshd:auth): check pass; user unknown
Dec 31 23:58:03 gate sshd[2101]: Failed password for invalid user guest from 192.0.2.7 port 40022 ssh2
Dec 31 23:58:03 gate sshd[2101]: Received disconnect from 192.0.2.7: 11: Bye Bye [preauth]
Dec 31 23:58:20 gate sshd[2103]: Accepted publickey for alice from 198.51.100.20 port 50112 ssh2: ED25519 SHA256:q0
Dec 31 23:58:20 gate sshd[2103]: pam_unix(sshd:session): session opened for user alice(uid=1000) by (uid=0)
Dec 31 23:58:31 gate CRON[2107]: pam_unix(cron:session): session opened for user root by (uid=0)
Dec 31 23:59:40 gate sshd[2110]: Failed password for root from 203.0.113.9 port 33810 ssh2
Dec 31 23:59:44 gate sshd[2110]: message repeated 2 times: [ Failed password for root from 203.0.113.9 port 33810 ssh2]
Dec 31 23:59:44 gate sshd[2110]: Connection closed by authenticating user root 203.0.113.9 port 33810 [preauth]
Jan  1 00:00:02 gate sshd[2112]: Failed password for root from 203.0.113.9 port 33922 ssh2
Jan  1 00:00:05 gate sshd[2112]: Failed password for root from 203.0.113.9 port 33922 ssh2
Jan  1 00:00:05 gate sshd[2112]: error: Received disconnect from 203.0.113.9 port 33922:14: No more methods [preauth]
Jan  1 00:00:30 gate sshd[2115]: Did not receive identification string from 2001:db8::5 port 5022
Jan  1 00:01:10 gate sshd[2117]: reverse mapping checking getaddrinfo for host.example [192.0.2.88] failed.
Jan  1 00:01:11 gate sshd[2117]: Invalid user  0101 from 192.0.2.88
Jan  1 00:01:12 gate sshd[2117]: Failed password for invalid user  0101 from 192.0.2.88 port 1022 ssh2
Jan  1 00:01:12 gate sshd[2117]: Failed password for invalid user x from 192.0.2.1 port 9 from 192.0.2.88 port 1022 ssh2
Jan  1 00:01:14 gate sshd[2117]: Failed none for invalid user root guest from 2001:db8::5 port 7 ssh2
Jan  1 00:01:20 gate sshd[2119]: Failed password for root from
this is no line of a log
Jan  1 00:02:00 gate sshd[2103]: Received disconnect from 198.51.100.20 port 50112:11: disconnected by user
Jan  1 00:02:00 gate sshd[2103]: pam_unix(sshd:session): session closed for user alice
2001-01-01T00:03:00.250000+00:00 gate sshd-session[2130]: Failed publickey for alice from 198.51.100.20 port 3 ssh2: RSA
)";

} // namespace auth
