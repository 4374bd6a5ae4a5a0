# What all checks share: reading files line by line, and collecting complaints.
#
# CMake splits lists at ';', joins elements at '[', and eats backslashes, so these three are replaced by control
# characters on reading: use ${open}, ${close}, ${semicolon}, ${backslash} where a pattern means them.
string(ASCII 1 open)
string(ASCII 2 close)
string(ASCII 3 semicolon)
string(ASCII 4 backslash)

set(complaints "")

function(read_lines file result)
    file(READ "${file}" text)
    string(REPLACE "[" "${open}" text "${text}")
    string(REPLACE "]" "${close}" text "${text}")
    string(REPLACE ";" "${semicolon}" text "${text}")
    string(REPLACE "\\" "${backslash}" text "${text}")
    string(REGEX REPLACE "\n$" "" text "${text}")
    string(REPLACE "\n" ";" text "${text}")
    set(${result} "${text}" PARENT_SCOPE)
endfunction()

# The part of a line before its // comment.
function(code_of line result)
    string(REGEX REPLACE "//.*$" "" code "${line}")
    set(${result} "${code}" PARENT_SCOPE)
endfunction()

macro(complain file number text)
    string(APPEND complaints "${file}:${number}: ${text}\n")
endmacro()

# All headers, relative to include/gossip.
macro(list_headers result)
    file(GLOB_RECURSE ${result} RELATIVE "${ROOT}/include/gossip" "${ROOT}/include/gossip/*")
    list(SORT ${result})
endmacro()

macro(finish)
    if(complaints)
        string(REPLACE "${open}" "[" complaints "${complaints}")
        string(REPLACE "${close}" "]" complaints "${complaints}")
        string(REPLACE "${semicolon}" ";" complaints "${complaints}")
        string(REPLACE "${backslash}" "\\" complaints "${complaints}")
        message(NOTICE "${complaints}")
        message(FATAL_ERROR "not clean")
    endif()
endmacro()
