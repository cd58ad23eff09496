#include "proto/session/witness.h"

#ifdef KITH_SABOTAGE

namespace kith::proto::session {

namespace {
std::function<void(WitnessedFrame const&)>& current() {
    static std::function<void(WitnessedFrame const&)> witness;
    return witness;
}
std::function<void(KeyMaterial const&)>& current_of_keys() {
    static std::function<void(KeyMaterial const&)> witness;
    return witness;
}
}  // namespace

void set_witness(std::function<void(WitnessedFrame const&)> witness) {
    current() = std::move(witness);
}

void witness(WitnessedFrame const& frame) {
    if (current()) current()(frame);
}

void set_key_witness(std::function<void(KeyMaterial const&)> witness) {
    current_of_keys() = std::move(witness);
}

void witness_keys(KeyMaterial const& keys) {
    if (current_of_keys()) current_of_keys()(keys);
}

}  // namespace kith::proto::session

#endif
