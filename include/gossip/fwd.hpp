// The names of the public types of gossip.hpp, for headers that only mention them.
#pragma once

#include <gossip/version.hpp>

#include <cstdint>

namespace gossip::GOSSIP_VERSION_NAMESPACE {

// What an event is
template <class T = void>
class Topic;
class EventType;
class Pattern;
class Event;
template <class T>
class TypedEvent;
struct EventId;
class Metadata;
class MetadataValue;
enum class Priority : std::uint8_t;

// What processors get and answer
class Context;
class Deferral;
class Error;
class Result;
class RetryableError;
class ValidationError;
class ProcessingError;
class TimeoutError;
class FatalError;
class TypeAssertionError;
class NoDataError;
class InvalidEventError;
class UnsupportedEventTypeError;

// The bus
class MemoryProvider;
template <class Provider = MemoryProvider>
class EventBus;
struct Config;
class BusMiddleware;
class Clock;
enum class Overflow : std::uint8_t;
struct PublishOptions;
enum class PublishStatus : std::uint8_t;
class ScheduledId;
class Subscription;
class SubscriptionId;
struct SubscribeOptions;
struct Redelivery;
struct BatchOptions;
class BatchResult;
struct DeadLetter;
class DeadLetters;
struct Failure;
struct ErrorReport;
struct Counters;
struct Stats;
struct ShutdownReport;
class SyncResult;

namespace testing {
class ManualClock;
} // namespace testing

} // namespace gossip::GOSSIP_VERSION_NAMESPACE
