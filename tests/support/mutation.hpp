#pragma once

// One atomic operation of a header, made weaker at run time. The compiler tells where each call stands, so that the
// header is the one that is shipped.

#include <atomic>
#include <compare>
#include <cstdint>
#include <set>
#include <string>

namespace gossip_test {

enum class Operation : std::uint8_t {
    load,
    store,
    exchange,
    fetch_add,
    fetch_sub,
    fetch_or,
    fetch_and,
    compare_exchange,
    compare_exchange_failed, // its other order
    fence                    // half of an asymmetric one; relaxed: it is left out
};

inline const char* name_of(Operation operation) {
    constexpr const char* names[] = {"load",
                                     "store",
                                     "exchange",
                                     "fetch_add",
                                     "fetch_sub",
                                     "fetch_or",
                                     "fetch_and",
                                     "compare_exchange",
                                     "compare_exchange_failed",
                                     "fence"};
    return names[static_cast<unsigned>(operation)];
}

inline const char* name_of(std::memory_order order) {
    switch (order) {
    case std::memory_order_relaxed:
        return "relaxed";
    case std::memory_order_release:
        return "release";
    case std::memory_order_acq_rel:
        return "acq_rel";
    case std::memory_order_seq_cst:
        return "seq_cst";
    default:
        return "acquire";
    }
}

/// Where an atomic operation stands in the source.
struct Site {
    const char* file;
    int line;
    Operation operation;
};

/// What is made weaker now, if anything; and a list of all sites that were met.
class Mutation {
public:
    struct Met {
        std::string file;
        int line = 0;
        Operation operation{};
        std::memory_order order{};
        friend auto operator<=>(const Met&, const Met&) = default;
    };

    /// While it lives that site has this order or, torn, is a load and a store.
    Mutation(const Met& site, std::memory_order order, bool torn) : site_(site), order_(order), torn_(torn) {
        active() = this;
    }
    Mutation(const Mutation&) = delete;
    Mutation& operator=(const Mutation&) = delete;
    ~Mutation() { active() = nullptr; }

    /// While it is not null all sites are added to it.
    static std::set<Met>*& met() {
        static std::set<Met>* sites = nullptr;
        return sites;
    }

    static std::memory_order order(std::memory_order order, const Site& site) {
        if (met() != nullptr) {
            met()->insert({site.file, site.line, site.operation, order});
        }
        return active() != nullptr && active()->is_at(site) ? active()->order_ : order;
    }
    static bool tears(const Site& site) { return active() != nullptr && active()->torn_ && active()->is_at(site); }

private:
    static Mutation*& active() {
        static Mutation* mutation = nullptr;
        return mutation;
    }
    [[nodiscard]] bool is_at(const Site& site) const {
        return site.line == site_.line && site.operation == site_.operation && site_.file == site.file;
    }

    const Met& site_;
    const std::memory_order order_;
    const bool torn_;
};

} // namespace gossip_test
