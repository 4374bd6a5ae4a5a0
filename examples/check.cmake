# cmake -DPROGRAM=... -DSOURCE=... -P check.cmake
# Runs an example, which must succeed and print every line that the comment at the head of its source promises:
#     //     > the line
cmake_minimum_required(VERSION 3.23)
execute_process(COMMAND "${PROGRAM}" RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE errors)
if(NOT status EQUAL 0)
    message(NOTICE "${output}${errors}")
    message(FATAL_ERROR "failed: ${status}")
endif()

file(STRINGS "${SOURCE}" promised REGEX "^//     > ")
if(NOT promised)
    message(FATAL_ERROR "${SOURCE} promises nothing")
endif()
foreach(line IN LISTS promised)
    string(REGEX REPLACE "^//     > " "" line "${line}")
    string(FIND "\n${output}" "\n${line}\n" place)
    if(place EQUAL -1)
        message(NOTICE "${output}")
        message(FATAL_ERROR "did not print: ${line}")
    endif()
endforeach()
