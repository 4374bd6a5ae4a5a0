#include "interleavings/programs.hpp"

#include "support/catch.hpp"
#include "support/mutation.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace mutation_test {

// Every atomic operation of the headers that the programs run, made weaker in turn: some program has to notice. The
// table goes to mutations.txt in the working directory. What is relaxed already is not made weaker.

inline namespace parts {

using namespace gossip_test;

struct Excuse {
    std::string_view file;
    std::string_view code; // a part of the line where the operation begins
    std::string_view mutation;
    std::string_view reason;
};

constexpr std::string_view torn_apart = "load, then store";
constexpr std::string_view left_out = "left out";
constexpr std::string_view any_order = "any weaker order";
constexpr std::string_view under_the_lock = "whoever changes it holds the lock; others only read";

/// What nothing can notice, and why. An excuse that is not needed is a mistake, too.
constexpr Excuse excuses[] = {
    {"parking_lot.hpp", "state, state | (me + 1)", any_order,
     "whoever goes off duty announces that, and looks for work after it"},
    {"parking_lot.hpp", "state & ~(owner_mask | lookout_flag)", torn_apart,
     "a duty that ends by that is one that the lookout may end; the lookout looks for work after it"},
    {"parking_lot.hpp", "fetch_and(~lookout_flag", any_order, "the flag is read to change it, or as a hint"},
    {"parking_lot.hpp", "fetch_or(lookout_flag", any_order, "the flag is read to change it, or as a hint"},
    {"parking_lot.hpp", "fetch_sub(one_sleeper", any_order,
     "whoever got up lies down again only through list, which announces that"},
    {"ticket_ring.hpp", "again = tail_.load", "acquire -> relaxed",
     "how new the answer is no order can say; the load of the slot's turn orders what follows"},
    {"ticket_ring.hpp", "slot.turn.compare_exchange_strong(expected, parked_at(at)", any_order,
     "a read-modify-write goes on with the release sequence of commit_parked whatever its order"},
    {"ticket_ring.hpp", "head_.load(std::memory_order_acquire)", "acquire -> relaxed",
     "tail(), asked after it, is seq_cst, and so are the tickets"},
    {"ticket_ring.hpp", "stepped_.load", "acquire -> relaxed",
     "tail(), asked after it, is seq_cst, and so are the steps"},
    {"ticket_ring.hpp", "stepped_.fetch_add", "release -> relaxed",
     "tail(), asked after it, is seq_cst, and so are the steps"},
    {"ticket_ring.hpp", "tail_.fetch_or(closed_flag", "seq_cst -> acq_rel",
     "the flag is part of the tail: whoever draws a ticket changes the same atomic"},
    {"ticket_ring.hpp", "tail_.fetch_or(gate_flag", any_order,
     "the flag is part of the tail: whoever draws a ticket changes the same atomic"},
    {"ticket_ring.hpp", "tail_.fetch_and(~gate_flag", any_order,
     "the flag is part of the tail: whoever draws a ticket changes the same atomic"},
    {"backlog_hints.hpp", "spilled_[lane].fetch_", torn_apart, under_the_lock},
    {"backlog_hints.hpp", "fetch_sub(1, std::memory_order_release)", "release -> relaxed",
     "tail(), asked after it, is seq_cst, and so are the tickets"},
    {"wait_queue.hpp", "count_.fetch_", torn_apart, under_the_lock},
    {"task.hpp", "size_.fetch_", torn_apart, under_the_lock},
    {"open_ends.hpp", "ended_.exchange", torn_apart,
     "all who would end it look for it on the list under its lock, but for the last, who has taken it off under that"},
};

struct NotExplored {
    std::string_view file;
    std::string_view edge; // as in the comment behind the operation; `relaxed` for one that changes something
    std::string_view reason;
};

/// What no program runs, and why not. One that is not needed is a mistake, too.
constexpr NotExplored not_explored[] = {
    {"platform.hpp", "asymmetric", "the fence itself: the explorer has its own of both kinds"},
};

/// Where the library begins in the name of a file.
std::size_t in_library(const std::string& file) {
    constexpr std::string_view folder = "include/gossip/";
    const std::size_t at = file.rfind(folder);
    return at == std::string::npos ? at : at + folder.size();
}

std::string short_name(const std::string& file) { return file.substr(file.rfind('/') + 1); }

const std::vector<std::string>& lines_of(const std::string& file) {
    static std::map<std::string, std::vector<std::string>> files;
    std::vector<std::string>& lines = files[file];
    if (lines.empty()) {
        std::ifstream in(GOSSIP_TEST_LIBRARY + file.substr(in_library(file))); // compilers may name it from elsewhere
        for (std::string line; std::getline(in, line);) {
            lines.push_back(line);
        }
    }
    return lines;
}

/// The code of a site, without its comment.
std::string code_of(const Mutation::Met& site) {
    const auto& lines = lines_of(site.file);
    const auto at = static_cast<std::size_t>(site.line);
    std::string code = at <= lines.size() ? lines[at - 1] : "";
    code = code.substr(0, code.find("//"));
    code.erase(0, code.find_first_not_of(' '));
    code.erase(code.find_last_not_of(' ') + 1);
    return code;
}

bool changes(Operation operation) {
    return operation != Operation::load && operation != Operation::store && operation != Operation::fence &&
           operation != Operation::compare_exchange_failed;
}

Bounds nearest(const Program& program) {
    return {.preemptions = 1, .stale_reads = 1, .timeouts = program.bounds.timeouts};
}

/// Compare-exchanges that are relaxed where they fail: nothing is weaker than that.
std::set<Mutation::Met>& failing_relaxed() {
    static std::set<Mutation::Met> sites;
    return sites;
}

/// The sites of our headers, and the programs that meet them.
const std::map<Mutation::Met, std::vector<Program>>& all_sites() {
    static std::map<Mutation::Met, std::vector<Program>> sites;
    if (!sites.empty()) {
        return sites;
    }
    for (const Program& program : programs_all()) {
        std::set<Mutation::Met> met;
        Mutation::met() = &met;
        program.explore(nearest(program));
        program.explore_at_random(program.bounds, 1000);
        Mutation::met() = nullptr;
        for (const Mutation::Met& site : met) {
            if (site.file.find("include/gossip/") == std::string::npos) {
                continue;
            }
            if (changes(site.operation) || site.order != std::memory_order_relaxed) {
                sites[site].push_back(program);
            } else if (site.operation == Operation::compare_exchange_failed) {
                failing_relaxed().insert(site);
            }
        }
    }
    return sites;
}

/// Which of the programs fails, and how; empty if none. The nearest executions of all come first. Nothing here is drawn
/// at random: what is caught is caught each time.
std::string caught_by(const std::vector<Program>& programs, bool thoroughly) {
    const auto caught = [&](auto explore) {
        for (const Program& program : programs) {
            const Explored explored = explore(program);
            if (!explored.failure.empty()) {
                return std::string(program.name) + ": " + explored.failure;
            }
        }
        return std::string();
    };
    std::string who = caught([](const Program& program) { return program.explore(nearest(program)); });
    if (who.empty() && thoroughly) {
        who = caught([](const Program& program) { return program.explore(program.bounds); });
    }
    return who;
}

/// The table, and what has gone wrong.
class Report {
public:
    Report() {
        table_ << std::left << std::setw(24) << "site" << std::setw(28) << "mutation"
               << "caught by\n";
    }

    /// False if it was not noticed.
    bool add(const Mutation::Met& site, const std::vector<Program>& programs, std::memory_order order, bool torn) {
        const std::string mutation = torn ? std::string(torn_apart)
                                     : site.operation == Operation::fence
                                         ? std::string(left_out)
                                         : (site.operation == Operation::compare_exchange_failed ? "failed: " : "") +
                                               name(site, site.order) + " -> " + name(site, order);
        const std::string code = code_of(site);
        const Excuse* const excuse = std::find_if(std::begin(excuses), std::end(excuses), [&](const Excuse& e) {
            return e.file == short_name(site.file) && code.find(e.code) != std::string::npos &&
                   (e.mutation == mutation || (e.mutation == any_order && !torn));
        });
        const bool excused = excuse != std::end(excuses);
        std::string caught;
        {
            const Mutation active(site, order, torn);
            caught = caught_by(programs, !excused);
        }
        wrong_ += caught.empty() == excused ? 0U : 1U;
        if (code != last_code_) {
            table_ << code << '\n';
            last_code_ = code;
        }
        table_ << "    " << std::setw(22) << short_name(site.file) + ":" + std::to_string(site.line) << std::setw(28)
               << mutation;
        if (excused) {
            table_ << (caught.empty() ? "excused: " : "EXCUSED FOR NOTHING: ") << excuse->reason << '\n';
        } else {
            table_ << (caught.empty() ? "NOT CAUGHT" : caught) << '\n';
        }
        return !caught.empty();
    }
    [[nodiscard]] std::string table() const { return table_.str(); }
    [[nodiscard]] unsigned wrong() const { return wrong_; }

private:
    static std::string name(const Mutation::Met& site, std::memory_order order) {
        if (order == std::memory_order_acq_rel && !changes(site.operation)) {
            return site.operation == Operation::load ? "acquire" : "release";
        }
        return name_of(order);
    }

    std::ostringstream table_;
    std::string last_code_;
    unsigned wrong_ = 0;
};

/// The next weaker orders, both where neither is weaker than the other; then what is weaker than those.
std::vector<std::vector<std::memory_order>> weaker_than(const Mutation::Met& site) {
    if (site.order == std::memory_order_seq_cst && site.operation != Operation::fence) {
        return {{std::memory_order_acq_rel}, {std::memory_order_relaxed}};
    }
    if (site.order == std::memory_order_acq_rel) {
        return {{std::memory_order_acquire, std::memory_order_release}, {std::memory_order_relaxed}};
    }
    return {{std::memory_order_relaxed}};
}

/// Whether the operation with a memory order on line `at` (from 0) is one of the sites, which stand where it begins.
bool is_met(const std::vector<std::string>& lines, std::size_t at, const std::set<int>& met) {
    for (std::size_t i = at;; --i) {
        if (met.contains(static_cast<int>(i) + 1)) {
            return true;
        }
        const std::string code = i == 0 ? ";" : lines[i - 1].substr(0, lines[i - 1].find(" //"));
        if (code.empty() || code.back() == ';' || code.back() == '{' || code.back() == '}') {
            return false;
        }
    }
}

} // namespace parts

TEST_CASE("an atomic operation made weaker is noticed", "[mutation]") {
    Report report;
    for (const auto& [site, programs] : all_sites()) {
        if (changes(site.operation)) {
            report.add(site, programs, site.order, true);
        }
        if (site.order == std::memory_order_relaxed) {
            continue;
        }
        for (const auto& orders : weaker_than(site)) {
            bool caught = false;
            for (const std::memory_order order : orders) {
                caught = report.add(site, programs, order, false) || caught;
            }
            if (caught) {
                break; // what is weaker still allows all that this does
            }
        }
    }
    std::ofstream out("mutations.txt");
    out << report.table() << '\n'
        << failing_relaxed().size()
        << " compare-exchanges are relaxed where they fail: there is no weaker order\n\nnot explored\n";
    for (const NotExplored& left : not_explored) {
        out << "    " << std::left << std::setw(38) << left.file << std::setw(14) << left.edge << left.reason << '\n';
    }

    INFO(report.table());
    CHECK(report.wrong() == 0);
}

TEST_CASE("every atomic operation is made weaker, or it is said why not", "[mutation]") {
    std::map<std::string, std::set<int>> met;
    for (const auto& [site, programs] : all_sites()) {
        met[site.file.substr(in_library(site.file))].insert(site.line);
    }
    std::set<const NotExplored*> needed;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(GOSSIP_TEST_LIBRARY)) {
        const std::string file = entry.path().string();
        if (entry.path().extension() != ".hpp") {
            continue;
        }
        const std::string name = file.substr(in_library(file));
        const auto& lines = lines_of(file);
        for (std::size_t i = 0; i < lines.size(); ++i) {
            const std::string code = lines[i].substr(0, lines[i].find("//"));
            const bool fences =
                code.find(".light()") != std::string::npos || code.find(".heavy()") != std::string::npos;
            if ((code.find("memory_order_") == std::string::npos && !fences) || is_met(lines, i, met[name])) {
                continue;
            }
            const bool orders = code.find("memory_order_relaxed") == std::string::npos;
            if (!orders && code.find("fetch_") == std::string::npos && code.find("exchange") == std::string::npos) {
                continue;
            }
            const auto* const why = std::find_if(std::begin(not_explored), std::end(not_explored), [&](const auto& n) {
                const std::string edge = orders ? '[' + std::string(n.edge) + ']' : "relaxed";
                return n.file == name && (orders || n.edge == edge) &&
                       lines[i].find(edge, code.size()) != std::string::npos;
            });
            INFO(file << ':' << i + 1 << ": " << code);
            CHECK(why != std::end(not_explored));
            needed.insert(why);
        }
    }
    for (const NotExplored& left : not_explored) {
        INFO(left.file << ", " << left.edge);
        CHECK(needed.contains(&left));
    }
}

} // namespace mutation_test
