// Exports all commands except the server and the health check.
// As one import they share few files of the build, and each file takes a millisecond of the start (measured).

export { testAccess } from './access-test.ts'
export { renewCert, showCert } from './cert/cert.ts'
export { check } from './check/check.ts'
export { completion } from './completion/completion.ts'
export { freeze } from './freeze/freeze.ts'
export { thaw } from './freeze/thaw.ts'
export { top } from './top/top.ts'
export { trust } from './trust/trust.ts'
export { listTokens } from './user/token-list.ts'
export { addToken, revokeToken } from './user/token.ts'
export { listUsers, verifyUser } from './user/user-queries.ts'
export { addUser, changePassword, removeUser } from './user/user.ts'
