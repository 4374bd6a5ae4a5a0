#include <gossip/provider/redis/members.hpp>

struct Order {
    int a = 0;
    int b = 0;
};

inline constexpr auto list = gossip::member_list("a", &Order::a, "b", &Order::b);
