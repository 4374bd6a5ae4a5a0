# Every check finds what it is there for: each case writes one small tree with one mistake in it.
# cmake -DROOT=... -DWORK=... -P self_test.cmake
cmake_minimum_required(VERSION 3.23)
set(silent "")

# case(check expected [path text]...): the check, run over a tree of these files, complains with `expected`.
function(case check expected)
    file(REMOVE_RECURSE "${WORK}")
    set(listed "")
    while(ARGN)
        list(POP_FRONT ARGN path text)
        string(REPLACE "<semicolon>" ";" text "${text}")
        string(REPLACE "<open>" "[" text "${text}")
        string(REPLACE "<close>" "]" text "${text}")
        file(WRITE "${WORK}/${path}" "${text}")
        string(REPLACE "include/gossip/" "" header "${path}")
        string(APPEND listed " ${header}")
    endwhile()
    if(NOT EXISTS "${WORK}/CMakeLists.txt")
        file(WRITE "${WORK}/CMakeLists.txt" "HEADERS ${listed})\n")
    endif()
    execute_process(COMMAND "${CMAKE_COMMAND}" "-DROOT=${WORK}" -P "${ROOT}/cmake/hygiene/check_${check}.cmake"
        RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
    if(expected STREQUAL "" AND NOT status EQUAL 0)
        message(NOTICE "${check} complains without reason:\n${output}")
        message(FATAL_ERROR "self-test")
    elseif(NOT expected STREQUAL "" AND (status EQUAL 0 OR NOT output MATCHES "${expected}"))
        message(NOTICE "${check} does not say '${expected}', but:\n${output}")
        message(FATAL_ERROR "self-test")
    endif()
endfunction()

set(once "#pragma once\n")
set(store "flag.store(true, std::memory_order_release)<semicolon>")
set(load "flag.load(std::memory_order_acquire)<semicolon>")
set(listing "//   <open>set<close>  store  happens before  load\n")

case(headers "write `namespace gossip::GOSSIP_VERSION_NAMESPACE`" include/gossip/core/a.hpp
    "${once}namespace gossip::detail {\n")
case(headers "write `namespace gossip::GOSSIP_VERSION_NAMESPACE`" include/gossip/core/a.hpp
    "${once}namespace gossip {\n")
case(layers "layer core may not include bus/b.hpp" include/gossip/core/a.hpp "#include <gossip/bus/b.hpp>\n")
case(layers "layer 'new' has no line" include/gossip/new/a.hpp "${once}")
case(layers "only gossip/redis.hpp may include" include/gossip/provider/a.hpp "#include <gossip/provider/redis/b.hpp>\n")
case(layers "too heavy" include/gossip/core/a.hpp "#include <iostream>\n")
case(layers "not of the standard library" include/gossip/core/a.hpp "#include <hiredis/hiredis.h>\n")
case(layers "not of the standard library" include/gossip/core/a.hpp "#include <unistd.h>\n")
case(layers "write #include <gossip" include/gossip/core/a.hpp "#include \"b.hpp\"\n")
case(layers "only platform.hpp asks" include/gossip/core/a.hpp "#if defined(__linux__)\n")
case(layers "${silent}" include/gossip/core/a.hpp "#include <atomic>\n#include <gossip/platform.hpp>\n#ifdef __cpp_rtti\n"
    include/gossip/platform.hpp "#include <unistd.h>\n#ifdef __linux__\n")

case(orders "a.hpp:1: a memory order without" include/gossip/core/a.hpp "${store}\n")
case(orders "a.hpp:2: a memory order without" include/gossip/core/a.hpp "${listing}${store} // <open>set<close>\n")
case(orders "a.hpp:1: a memory order without" include/gossip/core/a.hpp "${store} // relaxed:\n")
case(orders "a.hpp:1: a memory order without" include/gossip/core/a.hpp "x.load(std::memory_order::relaxed)<semicolon>\n")
case(orders "edge .set. stands at 1" include/gossip/core/a.hpp "${listing}${store} // <open>set<close> why\n")
case(orders "edge .set. stands at 0" include/gossip/core/a.hpp "${listing}")
case(orders "edge .set. is not listed" include/gossip/core/a.hpp
    "${store} // <open>set<close> why\n${load} // <open>set<close> why\n")
case(orders "${silent}" include/gossip/core/a.hpp
    "${listing}${store} // <open>set<close> why\nf(<open>a<close> { ${load} // <open>set<close> why\n// memory_order_relaxed\n")

set(elsewhere "// Edges: those of gossip/core/a.hpp\n")
case(orders "b.hpp:1: edge .set. is not listed" include/gossip/core/a.hpp "${listing}${store} // <open>set<close> why\n"
    include/gossip/core/b.hpp "${load} // <open>set<close> why\n")
case(orders "a.hpp:1: edge .set. stands at 1" include/gossip/core/a.hpp "${listing}${store} // <open>set<close> why\n"
    include/gossip/core/b.hpp "${elsewhere}")
case(orders "b.hpp:1: edge .set. stands at 1" include/gossip/core/a.hpp
    "${listing}${store} // <open>set<close> why\n${load} // <open>set<close> why\n"
    include/gossip/core/b.hpp "${elsewhere}${listing}${load} // <open>set<close> why\n")
case(orders "${silent}" include/gossip/core/a.hpp "${listing}${store} // <open>set<close> why\n"
    include/gossip/core/b.hpp "${elsewhere}${load} // <open>set<close> why\n")

case(headers "not listed" CMakeLists.txt "HEADERS)\n" include/gossip/a.hpp "${once}")
case(headers "lists core/b.hpp" CMakeLists.txt "HEADERS core/b.hpp)\n")
case(headers "must begin with #pragma once" include/gossip/a.hpp "// words\nint a<semicolon>\n")
case(headers "one `catch \\(...\\)`" include/gossip/core/a.hpp "${once}try {} catch (...) {}\n")
case(headers "one `catch \\(...\\)`" include/gossip/core/guard.hpp "${once}try {} catch (...) {}\ntry {} catch (...) {}\n")
string(REPEAT "//\n" 450 long)
case(headers "451 lines" include/gossip/a.hpp "${once}${long}")
case(headers "${silent}" include/gossip/core/guard.hpp "// a catch (...)\n${once}try {} catch (...) {}\n")

set(root README.md "x\n" LICENSE "x\n")
case(tree "src/a.cpp|src:1: does not belong" ${root} src/a.cpp "")
case(tree "README.md:1: is missing" LICENSE "x\n")
string(CONCAT later "TO" "DO")
case(tree "left behind" ${root} include/gossip/a.hpp "// ${later}\n")
string(REPEAT "x" 121 wide)
case(tree "more than 120 columns" ${root} include/gossip/a.hpp "\n${wide}\n")
case(tree "does not sleep" ${root} tests/unit/a_test.cpp "std::this_thread::sleep_${silent}for(1ms)<semicolon>\n")
case(tree "names nothing" ${root} include/gossip/core/util.hpp "${once}")
case(tree "${silent}" ${root} include/gossip/a.hpp "${once}" .hidden "")

set(program "int main() { int a<open>1<close> = {}<semicolon> }\n")
set(consumer tests/consumer/find_package/CMakeLists.txt "find_package(gossip REQUIRED)\n")
set(block "# x\n\n```cpp\n${program}```\n")
case(readme "README.md is missing" ${consumer})
case(readme "shows no program" ${consumer} README.md "# x\n")
case(readme "program 1 is not what is built" ${consumer} README.md "${block}" examples/hello.cpp "// other\n")
case(readme "program 2 is not what is built" ${consumer} README.md "${block}\n```cpp\nint main() {}\n```\n"
    examples/hello.cpp "${program}")
case(readme "not in tests/consumer" ${consumer} README.md "${block}\n```cmake\nfind_package(other)\n```\n"
    examples/hello.cpp "${program}")
case(readme "${silent}" ${consumer} README.md "${block}\n```cmake\nfind_package(gossip REQUIRED)\n```\n"
    examples/hello.cpp "${program}")
file(REMOVE_RECURSE "${WORK}")
