// expect: member_name_needs_an_escape
#include <gossip/provider/redis/members.hpp>

struct Order {
    int a = 0;
};

inline constexpr auto list = gossip::member_list("a\"b", &Order::a);
