// The library is loaded while the program runs. The program exports its symbols (-rdynamic): what gossip has once a
// process is then the program's for both.
#include "part.hpp"

#include <cstdio>
#include <cstdlib>

#include <dlfcn.h>

static void* library = nullptr;

Part* find_part() {
    library = dlopen(std::getenv("GOSSIP_PART"), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        std::fprintf(stderr, "%s\n", dlerror());
        return nullptr;
    }
    return reinterpret_cast<Part* (*)()>(dlsym(library, "part"))();
}

void leave_part() { dlclose(library); }
