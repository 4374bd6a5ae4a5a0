// What a connection asks of the server, and which copies of a message count.
#include <gossip/redis.hpp>

#include "support/catch.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace topics_test {

inline namespace parts {

using gossip::redis::detail::TopicKind;
using gossip::redis::detail::Topics;
using gossip::redis::detail::TopicState;

/// What the server is asked for now.
std::vector<std::string> asked(Topics& topics) {
    std::vector<std::string> out;
    topics.ask(
        [&](std::string_view verb, std::string_view name) { out.push_back(std::string(verb) + " " + name.data()); });
    return out;
}

} // namespace parts

TEST_CASE("a name that is wanted twice is asked for once, and given up once", "[topics]") {
    Topics topics;
    CHECK(topics.add(TopicKind::channel, "a"));
    CHECK_FALSE(topics.add(TopicKind::channel, "a"));
    CHECK(topics.add(TopicKind::pattern, "a"));
    CHECK(asked(topics) == std::vector<std::string>{"SUBSCRIBE a", "PSUBSCRIBE a"});
    topics.remove(TopicKind::channel, "a");
    CHECK(asked(topics).empty());
    topics.remove(TopicKind::channel, "a");
    CHECK(asked(topics) == std::vector<std::string>{"UNSUBSCRIBE a"});
}

TEST_CASE("a name that is wanted, given up and wanted again before the server hears of it ends subscribed",
          "[topics]") {
    Topics topics;
    CHECK(topics.add(TopicKind::pattern, "a"));
    topics.remove(TopicKind::pattern, "a");
    CHECK(topics.add(TopicKind::pattern, "a"));
    CHECK(asked(topics) == std::vector<std::string>{"PSUBSCRIBE a"});
    CHECK(topics.answer(TopicState::confirmed, {}));
    CHECK(topics.at(TopicKind::pattern, "a").state == TopicState::confirmed);

    topics.remove(TopicKind::pattern, "a");
    CHECK(topics.add(TopicKind::pattern, "a"));
    topics.remove(TopicKind::pattern, "a");
    CHECK(asked(topics) == std::vector<std::string>{"PUNSUBSCRIBE a"});
    CHECK_FALSE(topics.answer(TopicState::confirmed, {}));
    CHECK(topics.answered_all());
}

TEST_CASE("an answer counts for the question that it answers", "[topics]") {
    Topics topics;
    CHECK(topics.add(TopicKind::channel, "a"));
    CHECK(asked(topics).size() == 1);
    topics.remove(TopicKind::channel, "a");
    CHECK(topics.add(TopicKind::channel, "a"));
    CHECK(asked(topics) == std::vector<std::string>{"UNSUBSCRIBE a", "SUBSCRIBE a"});
    CHECK_FALSE(topics.answer(TopicState::confirmed, {})); // of the first time
    CHECK_FALSE(topics.answer(TopicState::confirmed, {})); // of the end
    CHECK(topics.at(TopicKind::channel, "a").state == TopicState::asked);
    CHECK(topics.answer(TopicState::confirmed, {}));
    CHECK(topics.at(TopicKind::channel, "a").state == TopicState::confirmed);
}

TEST_CASE("a new connection is asked for everything that is wanted, and for nothing that is not", "[topics]") {
    Topics topics;
    CHECK(topics.add(TopicKind::channel, "a"));
    CHECK(topics.add(TopicKind::channel, "b"));
    CHECK(asked(topics).size() == 2);
    topics.lost();
    topics.remove(TopicKind::channel, "b");
    CHECK(topics.want_all());
    CHECK(topics.add(TopicKind::pattern, "c"));
    topics.remove(TopicKind::pattern, "c");
    CHECK(asked(topics) == std::vector<std::string>{"SUBSCRIBE a"});
}

TEST_CASE("of the copies of a message the first counts, and of equal messages each", "[topics]") {
    gossip::detail::CopyFilter copies;
    CHECK_FALSE(copies.is_copy("a", "one", ""));
    CHECK(copies.is_copy("a", "one", "*"));
    CHECK(copies.is_copy("a", "one", "?"));
    CHECK_FALSE(copies.is_copy("a", "one", ""));
    CHECK(copies.is_copy("a", "one", "*"));
    CHECK_FALSE(copies.is_copy("a", "two", "*"));
    CHECK_FALSE(copies.is_copy("b", "two", "*"));
    CHECK_FALSE(copies.is_copy("b", "two", "*"));
}

} // namespace topics_test
