#pragma once

#include <sys/resource.h>

#include <chrono>
#include <cstdint>
#include <fstream>
#include <string>
#include <unistd.h>

/// Processor time that this process has used, in microseconds.
inline std::int64_t own_cpu_us() {
    rusage used{};
    getrusage(RUSAGE_SELF, &used);
    return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1'000'000 + used.ru_utime.tv_usec + used.ru_stime.tv_usec;
}

/// How much of the machine other processes used since this was made: a figure taken beside a busy neighbour says so. In
/// steps of 10 ms, which is what /proc/stat counts; 0 where there is none.
class Others {
public:
    /// Processors kept busy by others, on average: 0.5 is half of one.
    [[nodiscard]] double busy() const {
        const double wall =
            std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start_).count();
        const std::int64_t others = (machine_us() - machine_) - (own_cpu_us() - own_);
        return others <= 0 || wall <= 0 ? 0.0 : static_cast<double>(others) / wall;
    }

private:
    static std::int64_t machine_us() {
        std::ifstream file("/proc/stat");
        std::string name;
        std::int64_t ticks = 0;
        file >> name;
        for (int column = 0; column < 8; ++column) { // user nice system idle iowait irq softirq steal
            std::int64_t value = 0;
            file >> value;
            ticks += column == 3 || column == 4 ? 0 : value;
        }
        return ticks * (1'000'000 / sysconf(_SC_CLK_TCK));
    }

    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
    std::int64_t machine_ = machine_us();
    std::int64_t own_ = own_cpu_us();
};
