// Reads an sshd log and tells who tried what:
//
//   auth_service [--counts] [path]     path: a log, or - for standard input; without one: a small sample of its own
//
// --counts prints names and numbers alone, one pair a line.
#include "sample_log.hpp"
#include "service.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <fstream>
#include <functional>
#include <iomanip>
#include <iostream>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

/// What came from outside, without what a terminal would obey.
std::string printable(std::string_view text) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string result;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte < 0x7f) {
            result += c;
        } else {
            result += {'\\', 'x', digits[byte / 16], digits[byte % 16]};
        }
    }
    return result;
}

std::string text_of(auth::Time time) {
    using namespace std::chrono;
    constexpr std::string_view months = "JanFebMarAprMayJunJulAugSepOctNovDec";
    const auto day = floor<days>(time);
    const year_month_day date(day);
    const hh_mm_ss clock(time - day);
    std::ostringstream text;
    text << months.substr((static_cast<unsigned>(date.month()) - 1) * 3, 3) << ' ' << std::setw(2)
         << static_cast<unsigned>(date.day()) << std::setfill('0') << ' ' << std::setw(2) << clock.hours().count()
         << ':' << std::setw(2) << clock.minutes().count() << ':' << std::setw(2) << clock.seconds().count();
    return text.str();
}

void print_mail(std::span<const auth::Alert> alerts) {
    std::cout << "mail to the administrators: " << alerts.size() << (alerts.size() == 1 ? " alert\n" : " alerts\n");
    for (const auth::Alert& alert : alerts) {
        std::cout << "  " << text_of(alert.time) << "  " << std::left << std::setw(20) << printable(alert.address)
                  << alert.failures << " failures, " << alert.what << '\n';
    }
    std::cout << std::flush;
}

std::uint64_t count_of(const auth::Summary& summary, auth::LineKind kind) {
    const auto found = summary.lines.find(kind);
    return found == summary.lines.end() ? 0 : found->second;
}

void print_counts(const auth::Summary& summary) {
    for (const auto& [name, count] : summary.events) {
        std::cout << name << ' ' << count << '\n';
    }
    for (const auto& [address, offender] : summary.offenders) {
        std::cout << "failed.from." << printable(address) << ' ' << offender.failures << '\n';
    }
    using auth::LineKind;
    for (const auto& [name, kind] :
         {std::pair{"bad", LineKind::bad}, std::pair{"event", LineKind::event}, std::pair{"nothing", LineKind::nothing},
          std::pair{"other_program", LineKind::other_program}}) {
        std::cout << "lines." << name << ' ' << count_of(summary, kind) << '\n';
    }
    std::cout << "accepted " << summary.report.accepted << '\n' << "handled " << summary.report.handled << '\n';
}

void print_summary(const auth::Summary& summary) {
    using auth::LineKind;
    std::cout << "\nlines\n  " << count_of(summary, LineKind::event) << " told of something, "
              << count_of(summary, LineKind::nothing) << " did not, " << count_of(summary, LineKind::other_program)
              << " of other programs, " << count_of(summary, LineKind::bad) << " bad\n";
    for (const auth::Summary::BadLine& line : summary.bad) {
        std::cout << "  line " << line.number << " is bad (" << line.fault << "): " << printable(line.text) << '\n';
    }

    std::cout << "\nevents\n";
    for (const auto& [name, count] : summary.events) {
        std::cout << "  " << std::left << std::setw(30) << name << std::right << std::setw(8) << count << '\n';
    }

    std::vector<std::pair<std::string, auth::Summary::Offender>> top(summary.offenders.begin(),
                                                                     summary.offenders.end());
    std::ranges::stable_sort(top, std::greater{}, [](const auto& entry) { return entry.second.failures; });
    top.resize(std::min<std::size_t>(top.size(), 10));
    std::cout << "\ntop offenders\n";
    for (const auto& [address, offender] : top) {
        std::cout << "  " << std::left << std::setw(30) << printable(address) << std::right << std::setw(8)
                  << offender.failures << " failures   " << text_of(offender.first) << " to " << text_of(offender.last)
                  << '\n';
    }

    std::size_t alerts = 0;
    for (const std::size_t mail : summary.mails) {
        alerts += mail;
    }
    std::cout << "\nalerts: " << alerts << ", mails: " << summary.mails.size() << '\n';

    const gossip::ShutdownReport& report = summary.report;
    std::cout << "\nshutdown: " << report.accepted << " accepted = " << report.handled << " handled + " << report.failed
              << " failed + " << report.unrouted << " unrouted + " << report.dropped << " dropped + "
              << report.abandoned << " abandoned; it " << (summary.adds_up() ? "adds up" : "DOES NOT ADD UP") << '\n';
}

int run(const std::vector<std::string>& arguments) {
    bool counts = false;
    std::string path;
    for (const std::string& argument : arguments) {
        if (argument == "--counts") {
            counts = true;
        } else if (path.empty() && (argument == "-" || !argument.starts_with('-')) && !argument.empty()) {
            path = argument;
        } else {
            std::cerr << "usage: auth_service [--counts] [path]\n"
                         "path: an sshd log, or - for standard input; without one: a small sample\n";
            return argument == "--help" ? 0 : 2;
        }
    }

    auth::AuthService service(counts ? auth::Mailer([](std::span<const auth::Alert>) {}) : auth::Mailer(print_mail));
    if (path.empty()) {
        std::istringstream sample{std::string(auth::sample_log)};
        service.read(sample);
    } else if (path == "-") {
        service.read(std::cin);
    } else {
        std::ifstream file(path, std::ios::binary);
        if (!file) {
            std::cerr << "auth_service: cannot read " << path << '\n';
            return 2;
        }
        service.read(file);
    }

    const auth::Summary summary = service.finish();
    counts ? print_counts(summary) : print_summary(summary);
    return summary.adds_up() ? 0 : 1;
}

} // namespace

int main(int count, char** arguments) {
    std::ios::sync_with_stdio(false);
    try {
        return run({arguments + std::min(count, 1), arguments + count});
    } catch (const std::exception& error) { // reading a directory, no memory
        std::cerr << "auth_service: " << error.what() << '\n';
        return 2;
    }
}
