#include <gossip/gossip.hpp>

#include <cstring>

int handled_elsewhere();

int main(int argc, char** argv) {
    const bool version_matches = argc == 2 && std::strcmp(argv[1], gossip::version) == 0;
    return version_matches && handled_elsewhere() == 1 ? 0 : 1;
}
