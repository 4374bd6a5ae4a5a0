// Everything that needs only the standard library.
#pragma once

#include <gossip/batch/batch.hpp>
#include <gossip/bus/config.hpp>
#include <gossip/bus/event_bus.hpp>
#include <gossip/bus/report.hpp>
#include <gossip/version.hpp>
