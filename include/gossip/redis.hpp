#pragma once

// The Redis provider: the one door to hiredis and JSON. Link gossip::redis.

#include <gossip/provider/redis/envelope.hpp>
#include <gossip/provider/redis/json_codec.hpp>
#include <gossip/provider/redis/options.hpp>
#include <gossip/provider/redis/raw_codec.hpp>
#include <gossip/provider/redis/redis_provider.hpp>
