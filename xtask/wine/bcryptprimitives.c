/* Wine before 9 lacks this library of Windows 10, and Rust's standard library takes its random numbers from it. For the tests
   under Wine only: nothing of it is shipped. */
#include <windows.h>
#include <ntsecapi.h>

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T length)
{
    return RtlGenRandom(data, (ULONG)length);
}
