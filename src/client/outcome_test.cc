// SPDX-License-Identifier: Apache-2.0
#include "client/outcome.h"

#include <gtest/gtest.h>

#include "client/blob_client.h"
#include "client/journal_client.h"
#include "client/namespace_client.h"
#include "client/page_client.h"
#include "client/root_client.h"
#include "io/error.h"

namespace fb {
namespace {

// A caller decides by these outcomes whether to free content, and where to try again.
TEST(Outcome, OfChangesThatWereNotMade) {
  for (const Error& error :
       {Error(NamespaceError::full), Error(NamespaceError::unavailable), Error(NamespaceError::timed_out),
        Error(BlobError::full), Error(BlobError::unavailable), Error(BlobError::timed_out),
        Error(PageError::full), Error(PageError::unavailable), Error(PageError::timed_out),
        Error(JournalError::full), Error(JournalError::unavailable), Error(JournalError::timed_out),
        Error(RootError::full), Error(RootError::unavailable), Error(RootError::timed_out)})
    EXPECT_EQ(outcome_of(error), Outcome::not_done) << error.to_string();
}

TEST(Outcome, OfChangesThatMayHaveBeenMade) {
  for (const Error& error : {Error(NamespaceError::outcome_unknown), Error(BlobError::outcome_unknown),
                             Error(PageError::outcome_unknown), Error(JournalError::outcome_unknown),
                             Error(RootError::outcome_unknown)})
    EXPECT_EQ(outcome_of(error), Outcome::unknown) << error.to_string();
}

TEST(Outcome, OfAnotherOwner) {
  for (const Error& error :
       {Error(NamespaceError::not_owner), Error(PageError::sealed), Error(JournalError::sealed)})
    EXPECT_EQ(outcome_of(error), Outcome::not_mine) << error.to_string();
}

TEST(Outcome, OfRefusals) {
  for (const Error& error :
       {Error(NamespaceError::precondition_failed), Error(NamespaceError::not_found),
        Error(BlobError::not_found), Error(BlobError::exists), Error(PageError::stale_version),
        Error(JournalError::wrong_end), Error(RootError::bucket_exists)})
    EXPECT_EQ(outcome_of(error), Outcome::answer) << error.to_string();
}

TEST(Outcome, OfDamage) {
  for (const Error& error :
       {Error(NamespaceError::damaged), Error(BlobError::damaged), Error(PageError::damaged),
        Error(JournalError::damaged), Error(RootError::damaged)})
    EXPECT_EQ(outcome_of(error), Outcome::damaged) << error.to_string();
}

// Nothing is known about the effects of a call that fails with another module's error.
TEST(Outcome, OfErrorsThatNoSeamHas) { EXPECT_EQ(outcome_of(Error(IoError::no_space)), Outcome::unknown); }

}  // namespace
}  // namespace fb
