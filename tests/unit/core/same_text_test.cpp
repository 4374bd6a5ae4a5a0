#include <gossip/core/same_text.hpp>

#include "support/catch.hpp"

#include <cstddef>
#include <string>

namespace same_text_test {

using gossip::detail::same_text;

TEST_CASE("texts of every size are told apart at every place", "[same_text]") {
    for (std::size_t size = 0; size <= 40; ++size) {
        const std::string text(size, 'x');
        CHECK(same_text(text, std::string(size, 'x')));
        CHECK_FALSE(same_text(text, std::string(size + 1, 'x')));
        for (std::size_t i = 0; i < size; ++i) {
            std::string other = text;
            other[i] = 'y';
            CHECK_FALSE(same_text(text, other));
        }
    }
}

} // namespace same_text_test
